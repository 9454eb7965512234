"""An MCP session that many tests go on with."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.demo.mcp_session import McpSession
from deploy.demo.proxies import Proxies


@dataclass
class LongSession:
    """A session of one server, and how often it has been counted in.

    Attributes:
        proxies: The server's proxies.
        replicas: How many there are.
        session: The session.
        count: What the server's tool must have answered last.
    """

    proxies: Proxies
    replicas: int
    session: McpSession
    count: int

    @classmethod
    def of(cls, proxies: Proxies, replicas: int) -> LongSession:
        """Open a session through one of the proxies."""
        session, count = proxies.open_session(proxies.await_ready(replicas)[0])
        return cls(proxies, replicas, session, count)

    def goes_on(self) -> bool:
        """Count once through each proxy, and tell whether each of them knew the session with all that was counted."""
        counted = [self.proxies.count(pod, self.session) for pod in self.proxies.await_ready(self.replicas)]
        expected = [self.count + each + 1 for each in range(self.replicas)]
        self.count += self.replicas
        return counted == expected
