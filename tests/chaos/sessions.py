"""Opens MCP sessions, and uses them through ToolHive's proxies while a fault strikes."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Final

from deploy.demo import mcp_session
from deploy.demo.errors import DemoError, NotInTime
from deploy.demo.kube import until
from deploy.demo.proxies import COUNT
from tests.chaos.figures import SessionUse
from tests.chaos.stand import PROXIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.demo.mcp_session import McpSession
    from tests.chaos.stand import Stand

OPEN: Final = 3
USE_SECONDS: Final = 1
PATIENCE_SECONDS: Final = 30
"""At the end, a session is lost if a proxy still refuses to continue it after this time."""


@dataclass
class Sessions:
    """The MCP sessions of one server.

    Attributes:
        stand: The server and its storage.
        urls: URLs of the server's proxies, as they were before the fault.
        opened: All sessions.
        calls: Calls in these sessions during the run.
        failures: Calls that failed; a client tries again.
    """

    stand: Stand
    urls: Sequence[str]
    opened: list[McpSession] = field(default_factory=list)
    calls: int = 0
    failures: int = 0

    def open(self) -> None:
        """Open all of them through the first proxy."""
        self.opened = [mcp_session.opened(self.urls[0], COUNT)[0] for _ in range(OPEN)]

    def use(self, ended: threading.Event) -> None:
        """Call the server in each session and through each proxy in turn, until the event is set."""
        for url, session in zip(cycle(self.urls), cycle(self.opened), strict=False):
            if ended.wait(USE_SECONDS):
                return
            self.calls += 1
            self.failures += not _continues(url, session)

    def outcome(self) -> SessionUse:
        """Sum up what users saw; after the recovery, every session should continue through every proxy."""
        urls = ready_urls(self.stand)
        lost = sum(not all(_continues_soon(url, session) for url in urls) for session in self.opened)
        return SessionUse(len(self.opened), lost, self.calls, self.failures)


@contextmanager
def in_use(stand: Stand) -> Iterator[Sessions]:
    """Open sessions, and use them until the block ends."""
    sessions, ended = Sessions(stand, ready_urls(stand)), threading.Event()
    sessions.open()
    thread = threading.Thread(target=sessions.use, args=(ended,))
    thread.start()
    try:
        yield sessions
    finally:
        ended.set()
        thread.join()


def ready_urls(stand: Stand) -> list[str]:
    """Wait for the proxies, and list their URLs; this machine reaches pods of the local cluster directly."""
    stand.proxies.await_ready(PROXIES)
    return [f"http://{pod['status']['podIP']}:{stand.proxies.kind.port}/mcp" for pod in stand.proxies.pods()]


def _continues(url: str, session: McpSession) -> bool:
    try:
        mcp_session.continued(url, session, COUNT)
    except DemoError:
        return False
    return True


def _continues_soon(url: str, session: McpSession) -> bool:
    try:
        until("the session continues", lambda: _continues(url, session), PATIENCE_SECONDS)
    except NotInTime:
        return False
    return True
