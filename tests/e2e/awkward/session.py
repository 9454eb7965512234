"""An MCP session that many tests go on with."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import Final

from deploy.demo.errors import CommandFailed, SessionLost, Surprise
from deploy.demo.kube import until
from deploy.demo.mcp_session import McpSession
from deploy.demo.proxies import Proxies
from tests.e2e.consumers import TOOL

PATIENCE_SECONDS: Final = 60
"""Seconds for which a session may pause: a backend with one replica is away while it restarts, and so is its proxy."""


@dataclass(frozen=True)
class LongSession:
    """A session of one server.

    Attributes:
        proxies: The server's proxies.
        replicas: How many there are.
        session: The session.
    """

    proxies: Proxies
    replicas: int
    session: McpSession

    @classmethod
    def of(cls, proxies: Proxies, replicas: int) -> LongSession:
        """Open a session through one of the proxies."""
        session, _ = proxies.open(proxies.await_ready(replicas)[0], TOOL)
        return cls(proxies, replicas, session)

    def await_going_on(self) -> None:
        """Call a tool in the session through each proxy.

        Raises:
            NotInTime: A proxy does not know the session, or does not reach the server.
        """
        for pod in self.proxies.await_ready(self.replicas):
            until(f"the session goes on through {pod}", partial(self._answers, pod), PATIENCE_SECONDS)

    def _answers(self, pod: str) -> bool:
        with contextlib.suppress(SessionLost, Surprise, CommandFailed):
            return bool(self.proxies.call(pod, self.session, TOOL))
        return False
