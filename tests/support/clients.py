"""A client of the webhook without a network: a test gives bytes, reads answers and moves the clock by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from webhook.admission.review import AdmissionRequest, Decision, Deny
from webhook.http.connection import Connection
from webhook.http.listener import Listener
from webhook.server import Server

PATH = "/mutate/consumers"
HEAD = f"POST {PATH}?timeout=5s HTTP/1.1\r\nHost: a\r\n".encode()
SOON_SECONDS = 5


def review(uid: str) -> bytes:
    """Write a review; the stage answers one whose uid is `late` when the test lets it, and all others at once."""
    request = {"uid": uid, "operation": "CREATE", "object": {"metadata": {}}}
    return orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})


def post(uid: str) -> bytes:
    body = review(uid)
    return HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Transport(asyncio.Transport):
    """Keeps what the server writes; for a client that does not read, everything after the first answer piles up."""

    def __init__(self, *, is_read: bool = True) -> None:
        super().__init__()
        self.connection: Connection | None = None
        self.written: list[bytes] = []
        self.is_asked_on = True
        self.state = "open"
        self._is_read = is_read

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert self.state == "open"
        self.written.append(bytes(data))
        if not self._is_read and self.connection:
            self.connection.pause_writing()

    def read(self) -> None:
        """Read what has piled up, and read everything from then on."""
        assert self.connection
        self._is_read = True
        self.connection.resume_writing()

    def pause_reading(self) -> None:
        self.is_asked_on = False

    def resume_reading(self) -> None:
        self.is_asked_on = True

    def is_closing(self) -> bool:
        return self.state != "open"

    def close(self) -> None:
        self._end("closed")

    def abort(self) -> None:
        self._end("aborted")

    def _end(self, state: str) -> None:
        if self.state == "open":
            self.state = state
            assert self.connection
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Stage:
    """One connection, which the webhook's own code serves.

    Attributes:
        asked: The uids of the reviews that the server asked to have decided.
        cancelled: The uids of the reviews whose decision the server cancelled.
        may_answer: Lets the decision of a review `late` end.
    """

    def __init__(self, *, is_read: bool = True) -> None:
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.may_answer = asyncio.Event()
        self.site = Listener(Server({PATH: self._decide}).answer, 5.0)
        self.transport = Transport(is_read=is_read)
        self.connection = Connection(self.site, asyncio.get_running_loop())
        self.transport.connection = self.connection
        self.connection.connection_made(self.transport)

    async def _decide(self, request: AdmissionRequest) -> Decision:
        self.asked.append(request.uid)
        if request.uid == "late":
            try:
                await self.may_answer.wait()
            except asyncio.CancelledError:
                self.cancelled.append(request.uid)
                raise
        return Deny((request.uid,))

    def hear(self, data: bytes) -> None:
        """Hand bytes to the server, unless the connection has ended."""
        if self.transport.state == "open":
            self.connection.data_received(data)

    def pass_time(self, seconds: float) -> None:
        """Move the clock on, and let the server look at it."""
        self.connection.close_if_slow(asyncio.get_running_loop().time() + seconds)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_SECONDS):
            while not condition():  # noqa: ASYNC110 - anything that the loop does may bring it about
                await asyncio.sleep(0)

    async def answers(self, count: int) -> list[str]:
        """Wait for a number of answers, and return each one's status and uid."""
        await self.until(lambda: len(self.transport.written) >= count)
        return [_uid(answer) for answer in self.transport.written]

    async def last_status(self) -> int:
        """Wait for the end of the connection, and return the status of the last answer."""
        await self.until(lambda: self.transport.state != "open")
        return int(self.transport.written[-1].split()[1])


def _uid(answer: bytes) -> str:
    body = answer.partition(b"\r\n\r\n")[2]
    return str(orjson.loads(body)["response"]["uid"]) if body else ""
