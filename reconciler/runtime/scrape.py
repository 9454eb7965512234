"""Answers Prometheus on `/metrics/storages`, without holding up anything else."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.metrics.exposition import Exposition

PATH: Final = "/metrics/storages"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
GZIP: Final = "gzip"
FASTEST: Final = 1
"""12 MB of lines become 1 MB in 50 ms; a better compression takes several times as long."""


def storages_route(exposition: Exposition) -> web.RouteDef:
    """Build the route that serves the lines of all storages.

    A replica that does not lead answers as well, with `session_storage_is_leader 0` alone: it is no failed target.
    """

    async def scrape(request: web.Request) -> web.Response:
        pieces = []
        for piece in exposition.pieces():
            pieces.append(piece)
            await asyncio.sleep(0)  # whatever is due now goes first
        headers = {hdrs.CONTENT_TYPE: CONTENT_TYPE}
        if GZIP not in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            return web.Response(body=b"".join(pieces), headers=headers)
        body = await asyncio.to_thread(_compressed, pieces)
        return web.Response(body=body, headers={**headers, hdrs.CONTENT_ENCODING: GZIP})

    return web.get(PATH, scrape)


def _compressed(pieces: Sequence[bytes]) -> bytes:
    # zlib lets go of the interpreter's lock meanwhile.
    return gzip.compress(b"".join(pieces), FASTEST, mtime=0)
