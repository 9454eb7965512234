"""Answers Prometheus on `/metrics/storages`, without holding up anything else."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from reconciler.metrics.exposition import Exposition

PATH: Final = "/metrics/storages"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
GZIP: Final = "gzip"
FASTEST: Final = 1
"""36 MB of lines, of 3,000 instances, become 1.2 MB in 80 ms; a better compression takes several times as long."""
CHUNK_BYTES: Final = 256 * 1024
"""How much of an answer is expanded at a time, for a client that takes no compressed one; some 0.3 ms."""
_GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS


def storages_route(exposition: Exposition) -> web.RouteDef:
    """Build the route that serves the lines of all storages.

    A replica that does not lead answers as well, with `session_storage_is_leader 0` alone: it is no failed target.
    """
    one_at_a_time = asyncio.Lock()

    async def scrape(request: web.Request) -> web.Response:
        # Ten scrapes at once would hold 360 MB of lines, more than the process may use. A client that reads slowly only
        # keeps what is compressed.
        async with one_at_a_time:
            pieces = []
            for piece in exposition.pieces():
                pieces.append(piece)
                await asyncio.sleep(0)  # whatever is due now goes first
            body = await asyncio.to_thread(_compressed, pieces)
        headers = {hdrs.CONTENT_TYPE: CONTENT_TYPE}
        if GZIP not in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            return web.Response(body=_expanded(body), headers=headers)
        return web.Response(body=body, headers={**headers, hdrs.CONTENT_ENCODING: GZIP})

    return web.get(PATH, scrape)


async def _expanded(body: bytes) -> AsyncIterator[bytes]:
    """Expand a compressed body as its client takes it."""
    expander, rest = zlib.decompressobj(wbits=_GZIP_FORMAT), body
    while not expander.eof:
        yield expander.decompress(rest, CHUNK_BYTES)
        rest = expander.unconsumed_tail


def _compressed(pieces: Sequence[bytes]) -> bytes:
    """Compress pieces one by one: zlib lets go of the interpreter's lock meanwhile, and a join of them all does not."""
    compressor = zlib.compressobj(FASTEST, wbits=_GZIP_FORMAT)
    return b"".join((*map(compressor.compress, pieces), compressor.flush()))
