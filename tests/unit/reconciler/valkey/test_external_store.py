"""A user's own store is dialled as ToolHive's proxies would dial it; integration tests use real servers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import itertools
import socket
import ssl
import threading
import tracemalloc
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from reconciler.credentials.login import Credentials
from reconciler.state.external_store import DialResult, Outcome
from reconciler.valkey.external_answers import NOT_REDIS
from reconciler.valkey.external_store import MAX_ADDRESSES, MAX_CA_BYTES, ExternalStores
from reconciler.valkey.lookups import Lookups
from shared.session_storage.allowed_hosts import Address, AllowedHosts
from shared.session_storage.endpoint import Endpoint
from tests.support import handshakes, hostile_stores
from tests.support.handshakes import BAD, FLAWED, GOOD, Case


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    handshakes.imitate_python_313(monkeypatch)


@contextlib.asynccontextmanager
async def store(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve one key, with TLS or without, and yield the port."""
    value = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal value
        while True:
            count = int((await reader.readuntil(b"\r\n"))[1:])
            words = [await bulk(reader) for _ in range(count)]
            if words[0] == b"SET":
                value = words[2]
            answers = {
                b"PING": b"+PONG\r\n",
                b"HELLO": b"-ERR unknown command\r\n",
                b"GET": b"$%d\r\n%s\r\n" % (len(value), value),
            }
            writer.write(answers.get(words[0], b"+OK\r\n"))

    async with hostile_stores.serving(serve, context) as port:
        yield port


async def bulk(reader: asyncio.StreamReader) -> bytes:
    length = int((await reader.readuntil(b"\r\n"))[1:])
    return (await reader.readexactly(length + 2))[:-2]


LOOPBACK = AllowedHosts.of([*AllowedHosts().names, *AllowedHosts().networks, ip_network("127.0.0.0/8")])


async def dialled(
    port: int, scheme: str = "redis", ca: str = "", *, seconds: float = 5, stores: ExternalStores | None = None
) -> DialResult:
    deadline = asyncio.get_running_loop().time() + seconds
    endpoint, login = Endpoint.of_url(f"{scheme}://{handshakes.NAME}:{port}", "team"), Credentials("", "secret", ca)
    return await (stores or ExternalStores(LOOPBACK)).dial("team", endpoint, login, deadline)


async def dialled_at(host: str, port: int, stores: ExternalStores) -> DialResult:
    deadline = asyncio.get_running_loop().time() + 5
    return await stores.dial("team", Endpoint(host, port, 0, is_tls=False), Credentials(), deadline)


@pytest.mark.parametrize("case", [GOOD, *FLAWED.values()], ids=["no key identifiers and no key usage", *FLAWED])
async def test_a_certificate_that_pythons_default_alone_refuses_is_accepted(tmp_path: Path, case: Case) -> None:
    made = handshakes.server(tmp_path, case)
    async with store(made.context) as port:
        assert await dialled(port, "rediss", made.authority) == DialResult(Outcome.OK)


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
async def test_what_go_refuses_is_refused_without_a_word_of_the_host(tmp_path: Path, case: Case) -> None:
    made = handshakes.server(tmp_path, case)
    async with store(made.context) as port:
        found = await dialled(port, "rediss", made.authority)
    assert found.outcome is Outcome.TLS
    assert handshakes.NAME not in found.detail


async def test_without_an_authority_of_its_own_the_systems_must_have_signed(tmp_path: Path) -> None:
    async with store(handshakes.server(tmp_path).context) as port:
        assert (await dialled(port, "rediss")).outcome is Outcome.TLS


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_an_authority_that_is_no_certificate_is_named(scheme: str) -> None:
    async with store(None) as port:
        found = await dialled(port, scheme, "nonsense")
    assert found == DialResult(Outcome.TLS, "ca.crt in the Secret is no certificate in PEM form")


async def test_a_store_without_tls_is_dialled_in_plain_text() -> None:
    async with store(None) as port:
        assert await dialled(port, "redis") == DialResult(Outcome.OK)


async def cost_of(port: int, scheme: str = "redis", ca: str = "") -> tuple[DialResult, int]:
    """Dial, and tell how many bytes more than before Python had at the peak."""
    await dialled(port, scheme, ca)  # what is made once, such as contexts and caches
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        found = await dialled(port, scheme, ca)
        return found, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("beginning", hostile_stores.ENDLESS, ids=lambda beginning: repr(beginning[:16]))
async def test_a_server_that_streams_for_ever_costs_less_than_a_mebibyte(beginning: bytes) -> None:
    async with hostile_stores.serving(hostile_stores.streaming(beginning)) as port:
        found, cost = await cost_of(port)
    assert found == NOT_REDIS
    assert cost < 1 << 20


async def test_so_does_one_that_streams_by_tls(tmp_path: Path) -> None:
    made = handshakes.server(tmp_path)
    async with hostile_stores.serving(hostile_stores.streaming(b"$500000000\r\n"), made.context) as port:
        found, cost = await cost_of(port, "rediss", made.authority)
    assert found == NOT_REDIS
    assert cost < 1 << 20


@pytest.mark.parametrize("serve", [hostile_stores.silent, hostile_stores.trickling(0.01)], ids=["silent", "trickling"])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_a_server_that_takes_its_time_is_given_up_at_the_deadline(
    serve: hostile_stores.Serve, scheme: str
) -> None:
    loop = asyncio.get_running_loop()
    async with hostile_stores.serving(serve) as port:
        begun = loop.time()
        found = await dialled(port, scheme, seconds=0.1)
        assert loop.time() - begun < 1
    assert found.outcome in {Outcome.TIMEOUT, Outcome.TLS}
    if scheme == "redis":
        assert found == DialResult(Outcome.TIMEOUT, "no answer within 5 s")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", Outcome.NOT_REDIS),
        (b"220 smtp.example.com ESMTP\r\n", Outcome.NOT_REDIS),
        (b"\x15\x03\x01\x00\x02\x02\x46", Outcome.NOT_REDIS),
        (b"", Outcome.NOT_REDIS),
        (b"-DENIED Valkey is running in protected mode\r\n", Outcome.PROTECTED),
        (b"-ERR max number of clients reached\r\n", Outcome.FULL),
    ],
)
async def test_a_server_that_says_one_thing_and_hangs_up_is_understood(said: bytes, outcome: Outcome) -> None:
    async with hostile_stores.serving(hostile_stores.saying(said)) as port:
        assert (await dialled(port)).outcome is outcome


async def test_a_server_that_hangs_up_on_tls_is_told_from_others() -> None:
    async with hostile_stores.serving(hostile_stores.saying(b"")) as port:
        assert (await dialled(port, "rediss")).outcome is Outcome.TLS


async def test_of_three_hundred_addresses_that_do_not_answer_a_few_are_tried_within_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = list[str]()

    async def connect(_: asyncio.AbstractEventLoop, __: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    addresses = tuple(ip_address(f"10.0.{number // 250}.{number % 250 + 1}") for number in range(300))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    found = await dialled(6379, seconds=0.2, stores=ExternalStores(lookups=Lookups(lambda _: addresses)))
    assert loop.time() - begun < 1
    assert found == DialResult(Outcome.TIMEOUT, "no answer within 5 s")
    assert tried == list(map(str, addresses[:MAX_ADDRESSES]))


async def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    real = asyncio.SelectorEventLoop.sock_connect

    async def connect(loop: asyncio.SelectorEventLoop, connection: socket.socket, address: Any) -> None:
        if address[0] != "127.0.0.1":
            await asyncio.Event().wait()
        await real(loop, connection, address)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    found = (ip_address("10.0.0.1"), ip_address("127.0.0.1"))
    async with store(None) as port:
        stores = ExternalStores(LOOPBACK, Lookups(lambda _: found))
        assert (await dialled(port, seconds=1, stores=stores)).is_ok


async def test_a_lookup_that_hangs_is_given_up_at_the_deadline_and_holds_no_thread_of_others() -> None:
    released, threads = threading.Event(), set[threading.Thread]()

    def hang(_: str) -> tuple[Address, ...]:
        threads.add(threading.current_thread())
        released.wait(10)
        return ()

    loop, stores = asyncio.get_running_loop(), ExternalStores(LOOPBACK, Lookups(hang))
    begun = loop.time()
    found = await asyncio.gather(*(dialled(6379, seconds=0.1, stores=stores) for _ in range(100)))
    assert loop.time() - begun < 2
    assert set(found) == {DialResult(Outcome.DNS, "its name is not known here")}
    assert await loop.run_in_executor(None, lambda: 7) == 7
    released.set()
    for thread in threads:
        await asyncio.to_thread(thread.join, 5)


async def test_what_is_refused_is_neither_dialled_nor_looked_up() -> None:
    def unwanted(host: str) -> tuple[Address, ...]:
        raise AssertionError(host)

    async with store(None) as port:
        found = await dialled_at("127.0.0.1", port, ExternalStores())
        assert found.outcome is Outcome.NOT_ALLOWED
        assert found.detail.startswith("it is a loopback address")
        listed = ExternalStores(AllowedHosts.of(["*.example.com"]), Lookups(unwanted))
        assert (await dialled(port, stores=listed)).outcome is Outcome.NOT_ALLOWED


@pytest.mark.parametrize("host", ["localhost", "0x7f000001", "2130706433", "127.1"])
async def test_a_name_that_leads_to_what_is_refused_is_not_dialled(host: str) -> None:
    connections = 0

    async def count(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1

    async with hostile_stores.serving(count) as port:
        assert (await dialled_at(host, port, ExternalStores())).outcome is Outcome.NOT_ALLOWED
    assert connections == 0


async def test_the_address_that_was_judged_is_the_one_that_is_dialled() -> None:
    answers = iter([("127.0.0.1",), ("169.254.169.254",)])

    def rebinding(_: str) -> tuple[Address, ...]:
        return tuple(map(ip_address, next(answers)))

    async with store(None) as port:
        assert (await dialled(port, stores=ExternalStores(LOOPBACK, Lookups(rebinding)))).is_ok
    assert next(answers) == ("169.254.169.254",)


async def test_the_addresses_of_an_api_server_with_a_name_are_refused() -> None:
    known = {"api.example.com": ip_address("10.0.0.9"), "alias.example.com": ip_address("10.0.0.9")}
    allowed = AllowedHosts().without_api_server(["api.example.com"])
    stores = ExternalStores(allowed, Lookups(lambda host: (known[host],)))
    found = await dialled_at("alias.example.com", 443, stores)
    assert found.outcome is Outcome.NOT_ALLOWED
    assert "API server" in found.detail


async def test_the_reason_does_not_depend_on_the_order_of_the_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(_: asyncio.AbstractEventLoop, __: socket.socket, address: tuple[str, int]) -> None:
        raise OSError(*((errno.ECONNREFUSED, "x") if address[0].endswith("1") else (errno.EHOSTUNREACH, "no route")))

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    addresses = (ip_address("10.0.0.1"), ip_address("10.0.0.2"))
    orders = itertools.cycle((addresses, addresses[::-1]))
    stores = ExternalStores(lookups=Lookups(lambda _: next(orders)))
    found = [await dialled(6379, stores=stores) for _ in range(2)]
    assert found == [DialResult(Outcome.REFUSED, "nothing listens there")] * 2


async def test_a_heap_of_authorities_is_not_read() -> None:
    async with store(None) as port:
        found = await dialled(port, "rediss", "x" * (MAX_CA_BYTES + 1))
    assert found.outcome is Outcome.TLS
    assert "64 KiB" in found.detail


@pytest.mark.parametrize(
    "serve",
    [
        hostile_stores.saying(b"HTTP/1.1 400 Bad Request\r\n"),
        hostile_stores.streaming(b"$500000000\r\n"),
        hostile_stores.saying(b"-ERR max number of clients reached\r\n"),
        hostile_stores.saying(b""),
    ],
)
async def test_look_after_look_has_the_same_result(serve: hostile_stores.Serve) -> None:
    async with hostile_stores.serving(serve) as port:
        assert len({await dialled(port) for _ in range(20)}) == 1
