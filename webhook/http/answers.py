"""Answers: what one says, and how it is written."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

    from webhook.http.connection import Connection
    from webhook.http.heads import Refusal

JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_FIELDS: Final[dict[int, str]] = {
    HTTPStatus.METHOD_NOT_ALLOWED: "Allow: POST\r\n",
    HTTPStatus.SERVICE_UNAVAILABLE: "Retry-After: 1\r\n",
}
"""Fields that answers of a status have."""


class Answer(web.StreamResponse):
    """An answer that is written whole, with one call.

    aiohttp's own response puts its head together field by field, in a dictionary that ignores case.
    """

    def __init__(self, status: int, body: bytes, content_type: str = JSON, *, is_last: bool = False) -> None:
        """Take what is to be said.

        Args:
            status: Of HTTP.
            body: The content.
            content_type: Of the body.
            is_last: Whether the connection closes after this answer, whatever the client would like.
        """
        super().__init__(status=status)
        self._content = body
        self._type = content_type
        self._is_last = is_last

    @classmethod
    def of_text(cls, status: int, text: str, *, is_last: bool = False) -> Answer:
        """Make an answer that a person may read."""
        return cls(status, f"{text}\n".encode(), _TEXT, is_last=is_last)

    @classmethod
    def of_refusal(cls, refusal: Refusal) -> Answer:
        """Make the last answer on a connection: what comes after a refused request is not read."""
        return cls.of_text(*refusal, is_last=True)

    @property
    def keep_alive(self) -> bool:
        """Whether the client may ask again on this connection."""
        return not self._is_last

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Write the answer; called by aiohttp."""
        connection = cast("Connection", request.protocol)
        # An unread body would be taken for the next request.
        self._is_last |= connection.site.must_close or not (request.keep_alive and request.content.is_eof())
        await request.writer.write_eof(self.render(connection.site.date))
        connection.has_answered()
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing more, since all is written; called by aiohttp."""

    def render(self, date: str) -> bytes:
        """Write the answer, whole.

        Args:
            date: The time, as RFC 9110 §5.6.7 writes it.
        """
        close = "Connection: close\r\n" if self._is_last else ""
        head = (
            f"{_STATUS_LINES[self.status]}Content-Type: {self._type}\r\nContent-Length: {len(self._content)}\r\n"
            f"Date: {date}\r\n{_FIELDS.get(self.status, '')}{close}\r\n"
        )
        return head.encode("ascii") + self._content
