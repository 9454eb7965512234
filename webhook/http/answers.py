"""HTTP answers, and how they are written. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple

JSON: Final = "application/json"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_FIELDS: Final[dict[int, str]] = {
    HTTPStatus.METHOD_NOT_ALLOWED: "Allow: POST\r\n",
    HTTPStatus.SERVICE_UNAVAILABLE: "Retry-After: 1\r\n",
}
"""Header fields that every answer of a status has."""


class Answer(NamedTuple):
    """An answer to one request."""

    status: int
    body: bytes
    content_type: str = JSON

    @classmethod
    def of_text(cls, status: int, text: str) -> Answer:
        """Make an answer that a person may read."""
        return cls(status, f"{text}\n".encode(), "text/plain; charset=utf-8")

    def render(self, date: str, *, is_last: bool) -> bytes:
        """Write the whole answer.

        Args:
            date: The time, as RFC 9110 §5.6.7 writes it.
            is_last: Whether the connection closes after it.
        """
        close = "Connection: close\r\n" if is_last else ""
        head = (
            f"{_STATUS_LINES[self.status]}Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
            f"Date: {date}\r\n{_FIELDS.get(self.status, '')}{close}\r\n"
        )
        return head.encode("ascii") + self.body
