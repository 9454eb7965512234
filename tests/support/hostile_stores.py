"""Servers that a user could name as a store, and that do harm to whoever dials them; all listen on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeAlias

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BLOCK: Final = b"x" * (1 << 16)
HELLO: Final = b"*14\r\n" + b"".join(
    b"$%d\r\n%s\r\n" % (len(word), word)
    for word in (b"server", b"valkey", b"version", b"9.1.2", b"proto", b"2", b"id", b"5", b"mode", b"MODE", b"role")
)
"""The beginning of an answer to HELLO."""


@contextlib.asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve connections until the block ends, and yield the port."""
    tasks = set[asyncio.Task[None]]()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def streaming(beginning: bytes) -> Serve:
    """Begin an answer, and never end it."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while True:
            writer.write(BLOCK)
            await writer.drain()

    return serve


def saying(*answers: bytes, then_hangs_up: bool = True) -> Serve:
    """Say something as soon as somebody connects."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            writer.write(answer)
        await writer.drain()
        if not then_hangs_up:
            await asyncio.Event().wait()

    return serve


def trickling(seconds: float) -> Serve:
    """Send one byte after the other of an answer that would be right."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"+OK\r\n" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(seconds)

    return serve


async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Accept, and say nothing."""
    await asyncio.Event().wait()


ENDLESS: Final[Sequence[bytes]] = (
    b"$500000000\r\n",
    b"$60000\r\n",
    b"+",
    b"-ERR ",
    b"*1000000000\r\n",
    b"*200\r\n" + b"$5000\r\n",
    b"*1\r\n" * 10_000,
    b"*0\r\n" * 10_000,
    b":" + b"9" * 70_000,
    b"",
)
"""Beginnings of answers whose end never comes."""
