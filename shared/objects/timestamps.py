"""Kubernetes' times: RFC 3339 in UTC, with whole seconds or microseconds. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_MICRO_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


def written(moment: datetime) -> str:
    """Write an instant as Kubernetes' `Time`."""
    return moment.astimezone(UTC).strftime(_TIME)


def written_precisely(moment: datetime) -> str:
    """Write an instant as Kubernetes' `MicroTime`."""
    return moment.astimezone(UTC).strftime(_MICRO_TIME)


def parse_time(text: str) -> datetime:
    """Read what `written` wrote, or the API server.

    Raises:
        ValueError: The text is no such time.
    """
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def read_time(text: str) -> datetime | None:
    """Read what `written` wrote; None if the text is no such time."""
    try:
        return parse_time(text)
    except ValueError:
        return None
