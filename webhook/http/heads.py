"""Refuses requests by their head alone, before anybody reads the body. Pure.

aiohttp's parser (llhttp in its strict mode) already refuses most ambiguous requests: those whose Content-Length is
repeated, malformed, or beside a Transfer-Encoding. This module refuses what the parser lets pass.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from webhook.http.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""etcd stores objects of up to 1.5 MiB (its default for `--max-request-bytes`), a review of an update holds two, and
the rest of a review (user, groups, options) takes some kilobytes."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Tells a client that it may send the body."""


def refusal_of(version: tuple[int, int], fields: Mapping[str, str]) -> Answer | None:
    """Return the answer that refuses a request; None if the webhook may read its body.

    Args:
        version: Version of HTTP, major and minor.
        fields: Header fields; their names ignore case.
    """
    if version not in {(1, 0), (1, 1)}:
        return Answer.of_text(HTTPStatus.BAD_REQUEST, "the version must be HTTP/1.1")
    if "Upgrade" in fields:
        return Answer.of_text(HTTPStatus.BAD_REQUEST, "the webhook speaks no other protocol")
    if "Transfer-Encoding" in fields:
        # API servers always send a length. Without chunks there are no trailers, extensions or sizes to disagree about.
        return Answer.of_text(HTTPStatus.LENGTH_REQUIRED, "a body must come with Content-Length, not in chunks")
    if int(fields.get("Content-Length", 0)) > MAX_BODY_BYTES:
        return Answer.of_text(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {MAX_BODY_BYTES} bytes")
    if "Expect" in fields and not expects_to_continue(fields):
        return Answer.of_text(HTTPStatus.EXPECTATION_FAILED, "Expect must be 100-continue")
    return None


def expects_to_continue(fields: Mapping[str, str]) -> bool:
    """Tell whether the client waits to be told that it may send its body (RFC 9110 §10.1.1)."""
    return fields.get("Expect", "").lower() == "100-continue"
