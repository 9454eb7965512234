"""Keeps a heartbeat with every Valkey instance: holds a connection to each, and sends a PING each second.

A server that dies closes its connections, so the reconciler learns of it within a millisecond; a server that hangs or
is cut off stays silent. The heartbeat does not log in: a server that asks for a password has answered. So it does not
depend on passwords, and it opens a connection again that a rotation has closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from reconciler.state import pod_status
from reconciler.state.owned_objects import place_of_pod
from shared import names
from shared.process.survival import keep_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.objects.resources import Key, Object

OnAnswer: TypeAlias = "Callable[[Key, int, float, float], None]"
"""Gets the storage and the number of an instance that answered a PING, how many seconds that took, and when it was."""
PERIOD_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 1.0
"""An instance in the same cluster answers within a millisecond."""
_PING: Final = b"PING\r\n"


class _Connection(asyncio.Protocol):
    """A connection to a server: reports each answer, and knows whether it is still open."""

    def __init__(self, on_answer: Callable[[], None]) -> None:
        self._on_answer = on_answer
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        del data  # whatever the server says, it lives
        self._on_answer()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the next attempt to connect shows what is the matter
        self.closed.set()


class _Heartbeat:
    """The heartbeat with one server, as long as its pod has an address, or its connection lasts."""

    def __init__(self, address: str, on_change: Callable[[], None], on_answer: Callable[[float, float], None]) -> None:
        self.address = address
        self.is_connected = False
        self._was_silent = False
        self._on_change = on_change
        self._on_answer = on_answer
        self._asked_at: float | None = None
        self._clock = asyncio.get_running_loop().time
        self._answered_at = self._clock()
        self._task = asyncio.ensure_future(keep_running("heartbeats", self._run))

    @property
    def silent_for(self) -> float:
        return self._clock() - self._answered_at

    def _note_answer(self) -> None:
        self._answered_at = self._clock()
        if self._asked_at is not None:
            # The loop's own clock stands still while the loop is at work.
            self._on_answer(time.monotonic() - self._asked_at, self._answered_at)
            self._asked_at = None
        if self._was_silent:
            self._was_silent = False
            self._on_change()

    def stop(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                await self._ping_until_silent()
            self.is_connected, self._was_silent = False, True
            self._on_change()
            await asyncio.sleep(PERIOD_SECONDS)

    async def _ping_until_silent(self) -> None:
        """Send a PING each second until the server closes the connection, or does not answer.

        Raises:
            OSError: The server accepts no connection.
            TimeoutError: Nothing answers the attempt to connect.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            transport, connection = await loop.create_connection(
                lambda: _Connection(self._note_answer), self.address, names.VALKEY_PORT
            )
        self.is_connected = True
        try:
            while not connection.closed.is_set():
                sent_at, self._asked_at = self._clock(), time.monotonic()
                cast("asyncio.WriteTransport", transport).write(_PING)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PERIOD_SECONDS):
                        await connection.closed.wait()
                if self._answered_at < sent_at:
                    break
        finally:
            transport.abort()


class Heartbeats:
    """Knows how long every instance has been silent, and at once reports each that falls silent or answers again."""

    def __init__(self, on_change: Callable[[Key], None], on_answer: OnAnswer = lambda *_: None) -> None:
        """Take callbacks.

        Args:
            on_change: Gets the (namespace, name) of a storage when one of its instances does so.
            on_answer: Gets every answer.
        """
        self._on_change = on_change
        self._on_answer = on_answer
        self._heartbeats: dict[str, _Heartbeat] = {}
        self._outliving: dict[tuple[Key, str], _Heartbeat] = {}
        self._is_running = False

    def silent_for(self, pod: Object) -> float:
        """Tell for how many seconds the server in a pod has not answered; 0 if there is no heartbeat with it."""
        heartbeat = self._heartbeats.get(pod["metadata"]["uid"])
        return heartbeat.silent_for if heartbeat is not None else 0.0

    def outlives_at(self, storage: Key, index: int) -> str:
        """Tell where the server of an instance goes on although its pod is gone; empty if it does not.

        An open connection proves that the address still is that server's, and not another pod's by now.
        """
        heartbeat = self._outliving.get((storage, str(index)))
        return heartbeat.address if heartbeat is not None and heartbeat.is_connected else ""

    async def run(self, present: Iterable[Object]) -> None:
        """Keep a heartbeat with the pods that exist, and those that `on_pod` tells of from now on, until cancelled."""
        self._is_running = True
        try:
            for pod in present:
                self.on_pod(None, pod)
            await asyncio.Event().wait()
        finally:
            self._is_running = False
            for heartbeat in (*self._heartbeats.values(), *self._outliving.values()):
                heartbeat.stop()
            self._heartbeats.clear()
            self._outliving.clear()

    def on_pod(self, old: Object | None, new: Object | None) -> None:
        """Begin, or end, a heartbeat as a pod comes, changes or goes."""
        pod = new or old or {}
        # Anybody can write our labels on a pod, which would then count as the instance that it names.
        if not self._is_running or (known_as := place_of_pod(pod)) is None:
            return
        (storage, index), uid = known_as, pod["metadata"]["uid"]
        place = storage, str(index)
        address = pod_status.address(new)
        known = self._heartbeats.get(uid)
        if known is not None and known.address != address:
            del self._heartbeats[uid]
            if new is None and known.is_connected:
                if (earlier := self._outliving.get(place)) is not None:
                    earlier.stop()
                self._outliving[place] = known
            else:
                known.stop()
            known = None
        if known is None and address:
            answered = partial(self._on_answer, storage, index)
            self._heartbeats[uid] = _Heartbeat(address, lambda: self._note_change(*place), answered)

    def _note_change(self, storage: Key, index: str) -> None:
        outliving = self._outliving.get((storage, index))
        if outliving is not None and not outliving.is_connected:
            self._outliving.pop((storage, index)).stop()
        self._on_change(storage)
