"""A user's own store is dialled as ToolHive's proxies would dial it; integration tests use real servers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reconciler.credentials.login import Credentials
from reconciler.state.external_store import DialResult, Outcome
from reconciler.valkey import external_store
from shared.session_storage.endpoint import Endpoint
from tests.support import handshakes
from tests.support.handshakes import BAD, Case


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    handshakes.imitate_python_313(monkeypatch)


@contextlib.asynccontextmanager
async def store(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve one key, with TLS or without, and yield the port."""
    value = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal value
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                count = int((await reader.readuntil(b"\r\n"))[1:])
                words = [await bulk(reader) for _ in range(count)]
                if words[0] == b"SET":
                    value = words[2]
                answers = {b"PING": b"+PONG\r\n", b"GET": b"$%d\r\n%s\r\n" % (len(value), value)}
                writer.write(answers.get(words[0], b"+OK\r\n"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def bulk(reader: asyncio.StreamReader) -> bytes:
    length = int((await reader.readuntil(b"\r\n"))[1:])
    return (await reader.readexactly(length + 2))[:-2]


async def dialled(port: int, scheme: str, ca: str = "") -> DialResult:
    return await external_store.dial(
        Endpoint.of_url(f"{scheme}://{handshakes.NAME}:{port}"), Credentials("", "secret", ca)
    )


async def test_a_certificate_without_key_identifiers_is_accepted(tmp_path: Path) -> None:
    made = handshakes.server(tmp_path)
    async with store(made.context) as port:
        assert await dialled(port, "rediss", made.authority) == DialResult(Outcome.OK)


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
async def test_what_go_refuses_is_refused(tmp_path: Path, case: Case) -> None:
    made = handshakes.server(tmp_path, case)
    async with store(made.context) as port:
        assert (await dialled(port, "rediss", made.authority)).outcome is Outcome.TLS


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
