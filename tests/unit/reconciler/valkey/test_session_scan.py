"""The script counts exactly, run by a real Lua on keys in memory; nothing but numbers leaves the server."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import lupa.lua51
import pytest

from reconciler.credentials.login import Login
from reconciler.metrics.session_prefixes import SessionPrefixes
from reconciler.metrics.storage_lines import UNKNOWN
from reconciler.valkey import session_scan
from reconciler.valkey.session_scan import SCRIPT, count_sessions
from shared import errors, names
from shared.consumers.identity import Consumer, Usage

CONSUMERS = 40
LOGIN = Login("default", "x" * 32)


class Server:
    """A Valkey that knows `EVAL_RO`, and of the commands in a script `SCAN`."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.replies: list[Any] = []
        self.calls: list[tuple[str, ...]] = []
        self.cuts = 0

    async def __call__(self, *words: str) -> Any:
        name, script, no_keys, *arguments = words
        assert (name, no_keys) == ("EVAL_RO", "0")
        lua = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
        lua.globals()["redis"] = lua.table_from({"call": lambda *command: self._scan(lua, *command)})
        lua.globals().string.sub = self._cut
        lua.globals()["ARGV"] = lua.table_from(arguments)
        reply = list(lua.execute(script).values())
        self.replies.append(reply)
        self.calls.append(words)
        return reply

    def _cut(self, text: str, first: int, last: int) -> str:
        """Lua's `string.sub`, which the script compares prefixes by."""
        self.cuts += 1
        return text.encode()[first - 1 : last].decode(errors="replace")

    def _scan(self, lua: Any, name: str, cursor: str, _: str, count: str) -> Any:
        assert name == "SCAN"
        begin, end = int(cursor), int(cursor) + int(count)
        following = str(end) if end < len(self.keys) else "0"
        return lua.table_from([following, lua.table_from(self.keys[begin:end])])


@pytest.fixture(name="serve")
def serve_fixture(monkeypatch: pytest.MonkeyPatch) -> Any:
    def serve(keys: list[str]) -> Server:
        server = Server(keys)

        @contextlib.asynccontextmanager
        async def connected(*_: Any) -> AsyncIterator[Server]:
            yield server

        monkeypatch.setattr(session_scan, "connected", connected)
        return server

    return serve


def prefix(number: int) -> str:
    return names.key_prefix("MCPServer", "team", f"srv-{number}")


def prefixes(*chosen: str) -> SessionPrefixes:
    usages = [Usage(Consumer("MCPServer", "team", f"srv-{number}"), ("team", "mine")) for number in range(CONSUMERS)]
    users = (Usage(Consumer("MCPServer", "team", text), ("team", "mine"), key_prefix=text) for text in chosen)
    return SessionPrefixes.of([*usages, *users])


async def count(wanted: SessionPrefixes) -> dict[tuple[str, str], int]:
    counts = await count_sessions("10.1.0.1", 6379, LOGIN, len(wanted.own), wanted.texts)
    return {consumer: count for consumer, count in wanted.by_consumer(counts).items() if count}


async def test_every_session_counts_for_its_consumer(serve: Any) -> None:
    chance = random.Random(7)
    truth = {("team", f"srv-{number}"): chance.randrange(1, 300) for number in range(CONSUMERS)}
    keys = [f"thv:proxy:session:{{{who[0]}:{who[1]}}}:{number}" for who, n in truth.items() for number in range(n)]
    chance.shuffle(keys)
    server = serve(keys)
    assert await count(prefixes()) == truth
    assert len(server.calls) == -(-len(keys) // session_scan.SLICE_KEYS)


async def test_what_is_no_session_does_not_count_and_sessions_of_nobody_known_are_told_apart(serve: Any) -> None:
    serve(
        [
            f"{prefix(1)}one",
            "thv:proxy:session:{team:gone}:two",
            "thv:vmcp:session:{elsewhere:srv-1}:three",
            "thv:proxy:session:4",
            "thv:rl:{team:srv-1}:shared",
            "thv:auth:{team:srv-1}:token",
            "counter",
            "",
        ]
    )
    assert await count(prefixes()) == {("team", "srv-1"): 1, ("", UNKNOWN): 3}


async def test_a_prefix_of_a_users_own_counts_and_the_longest_one_wins(serve: Any) -> None:
    serve(["app:1", "app:2", "app:b:1", "thv:proxy:session:1", f"{prefix(3)}1"])
    assert await count(prefixes("app:", "app:b:", "thv:proxy:session:")) == {
        ("team", "app:"): 2,
        ("team", "app:b:"): 1,
        ("team", "thv:proxy:session:"): 1,
        ("team", "srv-3"): 1,
    }


async def test_many_prefixes_of_users_cost_no_more_than_a_few(serve: Any) -> None:
    """Other clients wait while a slice is counted."""
    keys = [f"app-{number:04d}:key" for number in range(0, 1000, 100)]
    server = serve(keys)
    assert await count(prefixes(*(f"app-{number:04d}:" for number in range(900)))) == {
        ("team", key.removesuffix("key")): 1 for key in keys[:9]
    }
    assert server.cuts <= len(keys)


async def test_the_longest_prefix_is_the_one_with_most_bytes(serve: Any) -> None:
    serve(["ääää:one", "ääää:b:two", "abcdef:three"])
    assert await count(prefixes("ääää:", "ääää:b:", "abcdef:")) == {
        ("team", "ääää:"): 1,
        ("team", "ääää:b:"): 1,
        ("team", "abcdef:"): 1,
    }


async def test_without_a_consumer_all_sessions_are_of_nobody_known(serve: Any) -> None:
    serve([f"{prefix(1)}one", "thv:proxy:session:2"])
    assert await count(SessionPrefixes()) == {("", UNKNOWN): 2}
    serve([])
    assert await count(SessionPrefixes()) == {}


async def test_only_numbers_leave_the_server(serve: Any) -> None:
    secret = "5f0c1c1e-0d0e-4c8e-9f6e-8a2b6d4f1a77"
    server = serve([f"{prefix(1)}{secret}", f"thv:proxy:session:{{{secret}:x}}:1", secret])
    await count(prefixes())
    assert all(str(each).isdecimal() for each in itertools.chain.from_iterable(server.replies))
    assert secret not in repr(server.calls)


def test_the_script_knows_the_prefixes_that_the_webhook_makes() -> None:
    """Its pattern stands for `names.key_prefix`, so that a table finds them."""
    lua = lupa.lua51.LuaRuntime()
    match = lua.globals().string.match
    pattern = SCRIPT.split("string.match(key, '")[1].split("'")[0]
    for kind in ("MCPServer", "MCPRemoteProxy", "VirtualMCPServer"):
        made = names.key_prefix(kind, "a-namespace", "a.consumer-1")
        assert match(f"{made}session:{{x:y}}:", pattern) == made


async def test_a_server_that_takes_too_long_is_given_up(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    serve([f"{prefix(1)}{number}" for number in range(100_000)])
    monkeypatch.setattr(session_scan, "SWEEP_SECONDS", 0.0)
    with pytest.raises(TimeoutError):
        await count(prefixes())


async def test_an_instance_that_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.asynccontextmanager
    async def connected(*_: Any) -> AsyncIterator[Any]:
        async def execute(*_: str) -> Any:
            raise errors.StoreErred("as default: LOADING", "LOADING Valkey is loading the dataset in memory")

        yield execute

    monkeypatch.setattr(session_scan, "connected", connected)
    with pytest.raises(errors.StoreErred):
        await count(prefixes())
