"""Stands in for a Service and the network: relays each new TCP connection to one of several ports of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

CHUNK = 64 * 1024


class Relay:
    """Balances connections as kube-proxy does: a new one goes to a ready backend, an existing one stays where it is.

    Attributes:
        backends: Ports to which new connections go; without any, the relay refuses them.
    """

    def __init__(self, port: int, backends: Sequence[int] = ()) -> None:
        self.port = port
        self.backends = tuple(backends)
        self._turns = itertools.count()
        self._open: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()
            self.sever()

    def sever(self) -> None:
        """Break every connection."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.backends:
            writer.transport.abort()
            return
        port = self.backends[next(self._turns) % len(self.backends)]
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._open |= ends
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward bytes in one direction until the sender closes, and then close the other side."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
