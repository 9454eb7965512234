"""MCP sessions that are open while a fault strikes, used all the while through real proxies of ToolHive."""

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
from tests.chaos.figures import Use
from tests.chaos.stand import PROXIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.demo.mcp_session import McpSession
    from tests.chaos.stand import Stand

OPEN: Final = 3
USE_SECONDS: Final = 1
PATIENCE_SECONDS: Final = 30
"""At the end, a session that cannot be gone on with for so long is lost."""


@dataclass
class Sessions:
    """Sessions of one server.

    Attributes:
        stand: The server and its storage.
        urls: Of its proxies, while the fault lasts.
        opened: All sessions.
        calls: How often one was gone on with while the fault lasted.
        failures: How often that failed then; a client tries again.
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
        """Go on in one after the other, through one proxy after the other, until the event is set."""
        for url, session in zip(cycle(self.urls), cycle(self.opened), strict=False):
            if ended.wait(USE_SECONDS):
                return
            self.calls += 1
            self.failures += not _goes_on(url, session)

    def outcome(self) -> Use:
        """Sum up what was seen, now that all is well again: every session should go on through every proxy."""
        urls = ready_urls(self.stand)
        lost = sum(not all(_goes_on_soon(url, session) for url in urls) for session in self.opened)
        return Use(len(self.opened), lost, self.calls, self.failures)


@contextmanager
def in_use(stand: Stand) -> Iterator[Sessions]:
    """Keep sessions in use until the block ends."""
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
    """Name the proxies, once they are ready; the machine reaches pods of the local cluster directly."""
    stand.proxies.await_ready(PROXIES)
    return [f"http://{pod['status']['podIP']}:{stand.proxies.kind.port}/mcp" for pod in stand.proxies.pods()]


def _goes_on(url: str, session: McpSession) -> bool:
    try:
        mcp_session.continued(url, session, COUNT)
    except DemoError:
        return False
    return True


def _goes_on_soon(url: str, session: McpSession) -> bool:
    try:
        until("the session goes on", lambda: _goes_on(url, session), PATIENCE_SECONDS)
    except NotInTime:
        return False
    return True
