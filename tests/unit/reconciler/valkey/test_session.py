"""Sessions with servers that answer as no instance of ours would; the contract tests use real ones."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvloop

from reconciler.credentials.login import Login
from reconciler.valkey.session import TIMEOUT_SECONDS, Session
from shared import errors

LOGIN = Login("operator", "correct horse")
HOST = "127.0.0.1"
ROUNDS = 10
"""Turns of the event loop, after which it knows that a server on the same loop has hung up."""


@contextlib.asynccontextmanager
async def answered(*pieces: bytes) -> AsyncIterator[Session]:
    """Open a session with a server that accepts the login, sends this answer to any command, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(LOGIN.password.encode() + b"\r\n")
        writer.write(b"+OK\r\n")
        await reader.read(1)
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        session = Session(HOST, server.sockets[0].getsockname()[1], LOGIN)
        yield session
        session.close()


async def test_replies_may_arrive_in_any_pieces() -> None:
    async with answered(b"$5\r", b"\nhel", b"lo\r\n*2\r\n:", b"1\r\n$-1\r\n") as session:
        assert await session.ask(("GET", "greeting"), ("EXEC",)) == ["hello", [1, None]]


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"$5\r\nhel"], ids=["not Valkey", "nothing", "half a reply"]
)
async def test_a_server_with_a_malformed_answer_is_unreachable(answer: bytes) -> None:
    async with answered(answer) as session:
        with pytest.raises(errors.StoreUnreachable):
            await session("PING")


@pytest.mark.parametrize("kind", ["WRONGPASS", "NOAUTH", "NOPERM"])
async def test_the_error_of_a_refusal_quotes_no_command(kind: str) -> None:
    async with answered(f"-{kind} for 'ACL|SETUSER' with argument 'correct horse'\r\n".encode()) as session:
        with pytest.raises(errors.StoreRefused) as caught:
            await session("ACL", "SETUSER", "consumer")
        assert LOGIN.password not in str(caught.value)
        assert kind in str(caught.value)


async def test_the_error_of_an_answer_hides_what_the_answer_quotes() -> None:
    quoted = hashlib.sha256(b"x").hexdigest()
    async with answered(f"-ERR Error in ACL SETUSER modifier '#{quoted}': Syntax error\r\n".encode()) as session:
        with pytest.raises(errors.StoreErred) as caught:
            await session("ACL", "SETUSER", "consumer")
        assert quoted not in str(caught.value) + caught.value.reply
        assert "ERR Error in ACL SETUSER modifier" in str(caught.value)
        assert caught.value.kind == "ERR"


def test_a_server_that_hung_up_before_the_command_is_unreachable() -> None:
    """The product's event loop raises a plain RuntimeError for a write to a closed connection."""

    async def ask_twice() -> None:
        async with answered(b"+PONG\r\n") as session:
            assert await session("PING") == "PONG"
            for _ in range(ROUNDS):
                await asyncio.sleep(0)
            with pytest.raises(errors.StoreHungUp):
                await session("PING")

    uvloop.run(ask_twice())


async def test_a_server_that_says_more_than_it_was_asked_is_not_believed() -> None:
    """What is too much would pass for the reply to the next question."""
    async with answered(b"+PONG\r\n+PONG\r\n") as session:
        with pytest.raises(errors.StoreHungUp):
            await session("PING")
        assert not session.is_open


async def test_a_kept_session_with_a_server_that_talks_unasked_ends() -> None:
    """Nobody takes what it says: it would fill the memory until the next look, or pass for the replies to that."""
    talk, cut = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(LOGIN.password.encode() + b"\r\n")
        writer.write(b"+OK\r\n")
        await reader.read(1)
        writer.write(b"+PONG\r\n")
        await talk.wait()
        try:
            for _ in range(1000):
                writer.write(b"+MORE\r\n" * 1000)
                await writer.drain()
        except ConnectionError:
            cut.set()
        finally:
            writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        session = Session(HOST, server.sockets[0].getsockname()[1], LOGIN)
        assert await session("PING") == "PONG"
        talk.set()
        async with asyncio.timeout(5):
            await cut.wait()
        assert not session.is_open


async def test_replies_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.valkey.session.MAX_BYTES", 1000)
    async with answered(b"*100\r\n", *[b"$20\r\n" + b"x" * 20 + b"\r\n"] * 100) as session:
        with pytest.raises(errors.StoreHungUp):
            await session("CLIENT LIST")


async def test_a_server_that_takes_nobody_in_says_so_before_the_login() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR max number of clients reached\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        session = Session(HOST, server.sockets[0].getsockname()[1], LOGIN)
        with pytest.raises(errors.StoreErred, match="max number of clients"):
            await session("PING")


async def test_an_attempt_to_connect_ends_after_the_given_time() -> None:
    with socket.socket() as deaf, socket.socket() as first:
        deaf.bind((HOST, 0))
        # The kernel drops the second connection as a firewall would: the queue has one place.
        deaf.listen(0)
        first.connect(deaf.getsockname())
        session = Session(HOST, deaf.getsockname()[1], LOGIN, dial_seconds=0.01)
        async with asyncio.timeout(TIMEOUT_SECONDS / 2):
            with pytest.raises(errors.StoreUnreachable, match="TimeoutError"):
                await session("PING")


async def test_a_server_that_refuses_connections_is_down() -> None:
    async with answered() as session:
        pass
    with pytest.raises(errors.StoreDown):
        await session("PING")
