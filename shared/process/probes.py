"""Probes and metrics on a plain HTTP port of their own: /healthz, /readyz, /metrics, and what the process adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Pending: TypeAlias = "Callable[[], Sequence[str]]"
"""Lists what the process still waits for; the process is ready when the list is empty."""


def _nothing() -> Sequence[str]:
    return ()


def probes_app(
    pending: Pending,
    warnings: Callable[[], Sequence[str]] = _nothing,
    further: Iterable[web.RouteDef] = (),
) -> web.Application:
    """Build the application; the process counts as alive while its event loop answers.

    Args:
        pending: Lists what keeps the process from being ready.
        warnings: Lists what somebody should look at although the process is ready.
        further: What else to serve on this port.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        waiting = pending()
        if waiting:
            return web.Response(status=503, text="".join(f"waiting for {what}\n" for what in waiting))
        return web.Response(text="ok\n" + "".join(f"{warning}\n" for warning in warnings()))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics), *further])
    return app


async def serve(app: web.Application, port: int) -> web.AppRunner:
    """Serve on every address of the pod; the caller must clean the returned runner up."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
