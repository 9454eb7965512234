"""Probes and metrics on a plain HTTP port of their own: /healthz, /readyz and /metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Waits: TypeAlias = "Callable[[], Sequence[str]]"
"""Says what the process still waits for; it is ready when there is nothing."""


def _nothing() -> Sequence[str]:
    return ()


def probes_app(waits: Waits, remarks: Callable[[], Sequence[str]] = _nothing) -> web.Application:
    """Build the application; liveness is that the event loop answers.

    Args:
        waits: What keeps the process from being ready.
        remarks: What somebody should look at although the process is ready.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        waiting = waits()
        if waiting:
            return web.Response(status=503, text="".join(f"waiting for {what}\n" for what in waiting))
        return web.Response(text="ok\n" + "".join(f"{remark}\n" for remark in remarks()))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


async def serve(app: web.Application, port: int) -> web.AppRunner:
    """Serve on every address of the pod; the caller cleans the runner up."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
