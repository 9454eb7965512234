"""Opens MCP sessions, and uses them through ToolHive's proxies while a fault strikes."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import TYPE_CHECKING, Final

from deploy.demo import mcp_session
from deploy.demo.errors import DemoError, NotInTime
from deploy.demo.kube import until
from deploy.demo.proxies import COUNT
from tests.chaos.faults.fault import now
from tests.chaos.figures import SessionUse
from tests.chaos.stand import PROXIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deploy.demo.mcp_session import McpSession
    from tests.chaos.stand import Stand

OPEN: Final = 3
CALLS_A_SECOND: Final = 10
"""Calls in all sessions together, so that a gap of 0.1 s meets one of them."""
PATIENCE_SECONDS: Final = 30
"""At the end, a session is lost if a proxy still refuses to continue it after this time."""


@dataclass(frozen=True)
class Call:
    """A call in a session.

    Attributes:
        begun: When it began, in seconds of the monotonic clock.
        seconds: Seconds until it had succeeded or failed.
        is_good: Whether it succeeded.
    """

    begun: float
    seconds: float
    is_good: bool


@dataclass
class Sessions:
    """The MCP sessions of one server.

    Attributes:
        stand: The server and its storage.
        urls: URLs of the server's proxies, as they were before the fault.
        opened: All sessions.
        calls: Calls in these sessions so far, in the order in which they ended.
    """

    stand: Stand
    urls: Sequence[str]
    opened: list[McpSession] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def open(self) -> None:
        """Open all of them through the first proxy."""
        self.opened = [mcp_session.opened(self.urls[0], COUNT)[0] for _ in range(OPEN)]

    def use(self, session: McpSession, ended: threading.Event) -> None:
        """Call the server in a session and through each proxy in turn, until the event is set."""
        for url in cycle(self.urls):
            if ended.wait(OPEN / CALLS_A_SECOND):
                return
            begun = now()
            is_good = _continues(url, session)
            self.calls.append(Call(begun, now() - begun, is_good))

    def outcome(self, struck: float) -> SessionUse:
        """Sum up what users saw; after the recovery, every session should continue through every proxy.

        Args:
            struck: When the fault struck, in seconds of the monotonic clock.
        """
        urls = ready_urls(self.stand)
        lost = sum(not all(_continues_soon(url, session) for url in urls) for session in self.opened)
        return summed(self.calls, struck, SessionUse(len(self.opened), lost))


def summed(calls: Iterable[Call], struck: float, use: SessionUse) -> SessionUse:
    """Add the calls that had not ended when a fault struck to what is known of the sessions. Pure."""
    counted = [call for call in calls if call.begun + call.seconds > struck]
    failed = sum(not call.is_good for call in counted)
    slowest = max((call.seconds for call in counted), default=None)
    return replace(use, calls=len(counted), failed=failed, slowest=slowest)


@contextmanager
def in_use(stand: Stand) -> Iterator[Sessions]:
    """Open sessions, and use them side by side until the block ends, because a call may have to wait."""
    sessions, ended = Sessions(stand, ready_urls(stand)), threading.Event()
    sessions.open()
    threads = [threading.Thread(target=sessions.use, args=(session, ended)) for session in sessions.opened]
    for thread in threads:
        thread.start()
        ended.wait(1 / CALLS_A_SECOND)
    try:
        yield sessions
    finally:
        ended.set()
        for thread in threads:
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
