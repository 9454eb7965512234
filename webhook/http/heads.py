"""Which requests are refused by their head alone, before any of the body is read. Pure.

The grammar is that of aiohttp's parser (llhttp in its strict mode), which refuses most of what can be read in two ways:
a length that is there twice, or beside an encoding of the transfer, or is no number. Here stands what it lets pass.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""The API server takes objects of up to 3 MiB, and a review of an update holds two."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Tells a client that it may send the body."""

_VERSIONS: Final = ((1, 0), (1, 1))


class Head(Protocol):
    """The parts of a request that are looked at here; header names ignore case."""

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version of HTTP."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The fields of the header."""


class Refusal(NamedTuple):
    """Why a request is not answered.

    Attributes:
        status: Of HTTP.
        text: What is wrong, for a person.
    """

    status: int
    text: str


def refusal_of(head: Head) -> Refusal | None:
    """Tell why a request must not be read any further; None if it may be."""
    headers = head.headers
    if head.version not in _VERSIONS:
        return Refusal(HTTPStatus.BAD_REQUEST, "the version must be HTTP/1.1")
    if "Upgrade" in headers:
        return Refusal(HTTPStatus.BAD_REQUEST, "no other protocol is spoken here")
    if "Transfer-Encoding" in headers:
        # API servers always send a length. Without chunks there are no trailers, extensions or sizes to disagree about.
        return Refusal(HTTPStatus.LENGTH_REQUIRED, "a body must come with Content-Length, not in chunks")
    if int(headers.get("Content-Length", 0)) > MAX_BODY_BYTES:
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {MAX_BODY_BYTES} bytes")
    if "Expect" in headers and not expects_to_continue(head):
        return Refusal(HTTPStatus.EXPECTATION_FAILED, "Expect must be 100-continue")
    return None


def expects_to_continue(head: Head) -> bool:
    """Tell whether the client waits to be told that it may send its body (RFC 9110 §10.1.1)."""
    return head.headers.get("Expect", "").lower() == "100-continue"
