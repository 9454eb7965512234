"""Feels the pulse of every Valkey instance: a connection that is held to each, and a question each second.

A server that dies closes its connections, which is news within a millisecond; one that hangs, or is cut off, stays
silent. Nobody logs in for that: a server that asks for a password has answered. So nothing here changes with passwords,
and a rotation that closes sessions closes none of these for good.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, cast

from reconciler.state import pod_status
from shared import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.objects.resources import Key, Object

PERIOD_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 1.0
"""An instance in the same cluster answers within a millisecond."""
_QUESTION: Final = b"PING\r\n"


class _Line(asyncio.Protocol):
    """A connection to a server: tells when it says anything, and knows whether it is still there."""

    def __init__(self, answered: Callable[[], None]) -> None:
        self._answered = answered
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        del data  # whatever it says, it lives
        self._answered()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the reason makes no difference: who it was finds out by connecting again
        self.closed.set()


class _Heartbeat:
    """One server, as long as its pod has an address."""

    def __init__(self, address: str, tell: Callable[[], None]) -> None:
        self.address = address
        self._tell = tell
        self._clock = asyncio.get_running_loop().time
        self._answered_at = self._clock()
        self._task = asyncio.ensure_future(self._run())

    @property
    def silent_for(self) -> float:
        return self._clock() - self._answered_at

    def _answer(self) -> None:
        self._answered_at = self._clock()

    def stop(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                await self._listen()
            self._tell()
            await asyncio.sleep(PERIOD_SECONDS)

    async def _listen(self) -> None:
        """Ask again and again until there is no answer.

        Raises:
            OSError: There is no connection.
            TimeoutError: There is no answer.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            transport, line = await loop.create_connection(lambda: _Line(self._answer), self.address, names.VALKEY_PORT)
        try:
            while not line.closed.is_set():
                asked = self._clock()
                cast("asyncio.WriteTransport", transport).write(_QUESTION)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PERIOD_SECONDS):
                        await line.closed.wait()
                if self._answered_at < asked:
                    break
        finally:
            transport.abort()


class Heartbeats:
    """Knows of every instance how long it has been silent, and tells of it as soon as one is."""

    def __init__(self, tell: Callable[[Key], None]) -> None:
        """Take who is told.

        Args:
            tell: Called with the (namespace, name) of a storage one of whose instances does not answer.
        """
        self._tell = tell
        self._instances: dict[str, _Heartbeat] = {}
        self._is_running = False

    def silent_for(self, pod: Object) -> float:
        """Tell for how many seconds the server in a pod has not answered; 0 if it is not known."""
        instance = self._instances.get(pod["metadata"]["uid"])
        return instance.silent_for if instance is not None else 0.0

    async def run(self, present: Iterable[Object]) -> None:
        """Feel the pulse of all instances until cancelled.

        Args:
            present: Pods that there are; `on_pod` is told of all that come, change and go from now on.
        """
        self._is_running = True
        try:
            for pod in present:
                self.on_pod(None, pod)
            await asyncio.Event().wait()
        finally:
            self._is_running = False
            for instance in self._instances.values():
                instance.stop()
            self._instances.clear()

    def on_pod(self, old: Object | None, new: Object | None) -> None:
        """Take in that a pod came, changed or went."""
        pod = new or old or {}
        uid, labels = pod["metadata"]["uid"], pod["metadata"].get("labels") or {}
        if not self._is_running or names.LABEL_INSTANCE not in labels:
            return
        address = pod_status.address(new)
        known = self._instances.get(uid)
        if known is not None and known.address != address:
            self._instances.pop(uid).stop()
            known = None
        if known is None and address:
            key = pod["metadata"]["namespace"], labels.get(names.LABEL_STORAGE, "")
            self._instances[uid] = _Heartbeat(address, lambda: self._tell(key))
