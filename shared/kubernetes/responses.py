"""Turns the API server's answers into JSON objects, or into errors of this project. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from shared import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.objects.resources import Object

_FROM_THE_FUTURE: Final = "Too large resource version"
"""What the API server says of a resourceVersion that it has not reached, as after a restore from a backup."""

_BY_STATUS: Final[Mapping[int, type[errors.ClusterError]]] = {
    400: errors.Rejected,
    401: errors.Forbidden,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.Rejected,
    409: errors.Conflict,
    410: errors.Expired,
    413: errors.Rejected,
    422: errors.Rejected,
}


def parse_object(body: bytes) -> Object | None:
    """Read a JSON object; None if it is anything else, as when a proxy answers in place of the API server."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


def redacted(status: Object) -> Object:
    """Withhold a message that may quote a Secret: schema errors repeat values, other webhooks may repeat anything."""
    message: str = status.get("message", "")
    may_quote = status.get("reason") == "Invalid" or "admission" in message.lower() or "denied" in message.lower()
    return {**status, "message": "message withheld, because it may quote the Secret"} if may_quote else status


def error_of(code: int, status: Object, retry_after: str | None = None) -> errors.ClusterError:
    """Turn a status into an error.

    Args:
        code: HTTP status, or the code of an ERROR event.
        status: The API server's `Status` object.
        retry_after: The header of that name, if there was one.
    """
    message = f"{code} {status.get('reason', '')}: {status.get('message', '')}"
    if _FROM_THE_FUTURE in message:
        return errors.Expired(message)
    if error := _BY_STATUS.get(code):
        return error(message)
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    return errors.Unavailable(message, seconds)
