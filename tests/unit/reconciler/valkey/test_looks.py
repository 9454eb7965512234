"""A look over a kept session learns what a look over a new one would, and logs in only when it must."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import libvalkey
import pytest

from reconciler.credentials.identities import IDENTITIES
from reconciler.credentials.login import Login
from reconciler.valkey import session
from reconciler.valkey.looks import FULL_SECONDS, Looks
from shared import errors

HOST: Final = "127.0.0.1"
OLD, NEW = Login("operator", "former password"), Login("operator", "present password")


@dataclass
class Server:
    """A server that counts what it is asked, over real connections.

    Attributes:
        role: What it says of itself.
        run_id: Which start of it this is.
        digest: The one password's hash that each user has.
        calls: How often each command has been carried out, as `INFO commandstats` names it.
        asked: What clients have asked.
        good_replicas: How many replicas follow it closely.
        says: Answers this to INFO, if it is not empty.
        pongs: Answers this to PING.
        may_pong: It answers a PING only once this is set.
        hangs_up: Whether it hangs up on the next INFO.
        cut: Connections that a network has dropped without a word.
    """

    role: str = "master"
    run_id: str = "a" * 40
    digest: str = "1" * 64
    port: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    good_replicas: int = 2
    says: bytes = b""
    pongs: bytes = b"+PONG\r\n"
    may_pong: asyncio.Event = field(default_factory=asyncio.Event)
    hangs_up: bool = False
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    cut: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        parser = libvalkey.Reader(encoding="utf-8")
        while data := await reader.read(65536):
            parser.feed(data)
            while writer not in self.cut and (words := parser.gets()) is not False:
                if words[0] == "INFO" and self.hangs_up:
                    self.hangs_up = False
                    writer.close()
                    return
                if words[0] == "PING":
                    await self.may_pong.wait()
                writer.write(self.answer(*words))

    def answer(self, *words: str) -> bytes:
        name = " ".join(words[:2]) if words[0] == "ACL" else words[0]
        self.asked[name] += 1
        match words:
            case ("AUTH", *_):
                return b"+OK\r\n"
            case ("PING",):
                return self.pongs
            case ("INFO", *_):
                return self.says or _bulk(self.info())
            case ("CONFIG", *_):
                return _bulks("min-replicas-to-write", "2")
            case _:
                return b"*2\r\n" + _bulk("passwords") + _bulks(self.digest)

    def info(self) -> str:
        stats = [f"cmdstat_{name}:calls={count},usec={count * 7}" for name, count in self.calls.items()]
        return "\r\n".join([f"role:{self.role}", f"run_id:{self.run_id}", "loading:0", *self.replicas(), *stats, ""])

    def replicas(self) -> list[str]:
        return [f"min_slaves_good_slaves:{self.good_replicas}"]

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.close()


def _bulk(text: str) -> bytes:
    return f"${len(text)}\r\n{text}\r\n".encode()


def _bulks(*texts: str) -> bytes:
    return b"*%d\r\n" % len(texts) + b"".join(map(_bulk, texts))


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, HOST, 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.hang_up()
        listening.close()
        await asyncio.gather(*(writer.wait_closed() for writer in server.writers), return_exceptions=True)


@dataclass
class World:
    """A server, looks at it, and the clock of the looks."""

    server: Server
    looks: Looks
    now: list[float]

    async def look(self, login: Login = OLD, *, is_full: bool = False) -> Any:
        return await self.looks.observe(HOST, self.server.port, login, is_full=is_full)

    async def takes_writes(self, fence: int = 1) -> bool | None:
        return await self.looks.takes_writes(HOST, self.server.port, fence)

    async def until_closed(self) -> None:
        """Wait for the looks to know that the server has hung up."""
        async with asyncio.timeout(5):
            while any(kept.session.is_open for kept in self.looks._kept.values()):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.001)


@pytest.fixture(name="world")
async def world_fixture() -> AsyncIterator[World]:
    now = [100.0]
    async with serving() as server:
        server.may_pong.set()
        looks = Looks(lambda: now[0])
        yield World(server, looks, now)
        looks.close()


FULL: Final = {"AUTH": 1, "INFO": 1, "CONFIG": 1, "ACL GETUSER": len(IDENTITIES)}
SHORT: Final = {"INFO": 1, "CONFIG": 1}


async def test_the_second_look_neither_logs_in_nor_asks_for_passwords(world: World) -> None:
    first = await world.look()
    assert world.server.asked == FULL
    world.server.asked.clear()
    assert await world.look() == first
    assert world.server.asked == SHORT
    assert first.hashes == {identity.user: frozenset({"1" * 64}) for identity in IDENTITIES}
    assert first.fence == 2


async def test_a_look_over_a_kept_session_sees_what_has_changed(world: World) -> None:
    await world.look()
    world.server.role = "slave"
    assert (await world.look()).role == "slave"


@pytest.mark.parametrize("command", ["acl|setuser", "acl|deluser", "acl|load", "config|set", "config|resetstat"])
async def test_whatever_changes_who_may_log_in_leads_to_a_full_look_with_a_new_login(
    world: World, command: str
) -> None:
    await world.look()
    world.server.calls[command] += 1
    world.server.digest = "2" * 64
    world.server.asked.clear()
    assert (await world.look()).hashes["operator"] == {"2" * 64}
    assert world.server.asked == {**FULL, "INFO": 2, "CONFIG": 2}


async def test_another_start_of_a_server_leads_to_a_full_look(world: World) -> None:
    """Its users are those of its file, and it counts from zero: as it did before the first change."""
    await world.look()
    world.server.run_id = "b" * 40
    world.server.asked.clear()
    await world.look()
    assert world.server.asked["ACL GETUSER"] == len(IDENTITIES)


async def test_time_alone_leads_to_a_full_look_with_a_new_login(world: World) -> None:
    await world.look()
    for passed, expected in ((FULL_SECONDS - 1, SHORT), (1.0, FULL), (FULL_SECONDS - 1, SHORT)):
        world.now[0] += passed
        world.server.asked.clear()
        await world.look()
        assert world.server.asked == expected


@pytest.mark.parametrize("asked", [{"login": NEW}, {"is_full": True}], ids=["another password", "a rotation"])
async def test_whoever_wants_a_new_login_gets_one(world: World, asked: Any) -> None:
    await world.look()
    world.server.asked.clear()
    await world.look(**asked)
    assert world.server.asked == FULL
    assert len(world.looks) == 1


async def test_a_session_that_a_rotation_has_closed_is_opened_again(world: World) -> None:
    await world.look()
    world.server.hang_up()
    await world.until_closed()
    world.server.asked.clear()
    await world.look()
    assert world.server.asked == FULL


async def test_a_server_that_hangs_up_while_it_is_asked_is_asked_anew_the_next_time(world: World) -> None:
    await world.look()
    world.server.hangs_up = True
    with pytest.raises(errors.StoreHungUp):
        await world.look()
    assert len(world.looks) == 0
    await world.look()
    assert world.server.asked["AUTH"] == 2


async def test_an_instance_whose_kept_session_a_network_has_dropped_is_not_taken_for_unreachable(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "TIMEOUT_SECONDS", 0.05)
    await world.look()
    world.server.cut.extend(world.server.writers)
    assert (await world.look()).role == "master"
    assert len(world.looks) == 1


async def test_a_server_that_answers_nobody_is_unreachable(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "TIMEOUT_SECONDS", 0.05)
    await world.look()
    world.server.cut = world.server.writers  # whoever connects from now on, too
    with pytest.raises(errors.StoreUnreachable):
        await world.look()
    assert len(world.looks) == 0


async def test_a_session_that_was_answered_with_an_error_is_not_used_again(world: World) -> None:
    await world.look()
    world.server.says = b"-BUSY Valkey is busy running a script.\r\n"
    for _ in range(2):
        with pytest.raises(errors.StoreErred):
            await world.look()
    assert len(world.looks) == 0
    world.server.says = b""
    assert (await world.look()).role == "master"


async def test_two_looks_at_the_same_time_do_not_share_a_session(world: World) -> None:
    await world.look()
    found = await asyncio.gather(*(world.look() for _ in range(3)))
    assert {facts.role for facts in found} == {"master"}
    assert world.server.asked["AUTH"] == 3
    assert len(world.looks) == 1


async def test_a_look_that_is_given_up_leaves_no_session_with_an_answer_on_its_way(world: World) -> None:
    await world.look()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await world.look()
    assert len(world.looks) == 0


async def test_sessions_with_servers_that_nobody_looks_at_any_more_are_closed(world: World) -> None:
    await world.look()
    world.now[0] += 2 * FULL_SECONDS
    async with serving() as other:
        await world.looks.observe(HOST, other.port, OLD)
        assert len(world.looks) == 1


async def test_no_password_is_in_what_looks_show_of_themselves(world: World) -> None:
    await world.look()
    (kept,) = world.looks._kept.values()
    assert OLD.password not in repr(kept)
    assert "1" * 64 not in repr(kept)


CHECK: Final = {"PING": 1, "INFO": 1}
MISCONF: Final = b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"


async def test_whether_a_primary_takes_writes_is_asked_over_the_kept_session(world: World) -> None:
    await world.look()
    world.server.asked.clear()
    assert await world.takes_writes() is True
    assert world.server.asked == CHECK
    world.server.asked.clear()
    await world.look()
    assert world.server.asked == SHORT


@pytest.mark.parametrize(
    "change",
    [{"pongs": MISCONF}, {"says": b"-BUSY a script\r\n"}, {"good_replicas": 0}, {"role": "slave"}],
    ids=["its disk fails", "it is busy", "it lacks replicas", "it is a replica"],
)
async def test_a_primary_that_refuses_writes_is_told_apart_and_its_session_goes_on(world: World, change: Any) -> None:
    await world.look()
    before = {name: getattr(world.server, name) for name in change}
    for name, value in change.items():
        setattr(world.server, name, value)
    assert await world.takes_writes() is False
    for name, value in before.items():
        setattr(world.server, name, value)
    assert await world.takes_writes() is True
    assert world.server.asked["AUTH"] == 1


async def test_a_primary_that_needs_no_replica_takes_writes_without_one(world: World) -> None:
    await world.look()
    world.server.good_replicas = 0
    assert await world.takes_writes(fence=0) is True


async def test_without_a_kept_session_nobody_is_asked(world: World) -> None:
    assert await world.takes_writes() is None
    assert not world.server.asked
    await world.look()
    world.server.hang_up()
    await world.until_closed()
    world.server.asked.clear()
    assert await world.takes_writes() is None
    assert not world.server.asked


async def test_a_look_does_not_wait_for_the_answer_of_a_check_and_its_session_stays(world: World) -> None:
    await world.look()
    world.server.may_pong.clear()
    check = asyncio.ensure_future(world.takes_writes())
    await asyncio.sleep(0)
    await world.look()
    assert not check.done()
    world.server.may_pong.set()
    assert await check is True
    assert len(world.looks) == 1
    assert world.server.asked["AUTH"] == 2
    world.server.asked.clear()
    await world.look()
    assert world.server.asked == SHORT


async def test_a_check_without_an_answer_in_time_closes_the_session(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.look()
    world.server.may_pong.clear()
    monkeypatch.setattr(session, "TIMEOUT_SECONDS", 0.01)
    with pytest.raises(errors.StoreUnreachable):
        await world.takes_writes()
    assert len(world.looks) == 0
    world.server.may_pong.set()
