"""Answers: what one says, and how it is written. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from webhook.http.heads import Refusal

JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_FIELDS: Final[dict[int, str]] = {
    HTTPStatus.METHOD_NOT_ALLOWED: "Allow: POST\r\n",
    HTTPStatus.SERVICE_UNAVAILABLE: "Retry-After: 1\r\n",
}
"""Fields that answers of a status have."""


class Answer(NamedTuple):
    """An answer.

    Attributes:
        status: Of HTTP.
        body: The content.
        content_type: Of the body.
        is_last: Whether the connection closes after it, whatever the client would like.
    """

    status: int
    body: bytes
    content_type: str = JSON
    is_last: bool = False

    @classmethod
    def of_text(cls, status: int, text: str) -> Answer:
        """Make an answer that a person may read."""
        return cls(status, f"{text}\n".encode(), _TEXT)

    @classmethod
    def of_refusal(cls, refusal: Refusal) -> Answer:
        """Make the last answer on a connection: what comes after a refused request is not read."""
        return cls.of_text(*refusal)._replace(is_last=True)

    def render(self, date: str, *, is_last: bool) -> bytes:
        """Write the answer, whole.

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
