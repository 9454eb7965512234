"""Kubernetes' times: RFC 3339 in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


def written(moment: datetime) -> str:
    """Write an instant as Kubernetes writes a `Time`: in whole seconds."""
    return moment.astimezone(UTC).strftime(_TIME)


def written_with_microseconds(moment: datetime) -> str:
    """Write an instant as Kubernetes writes a `MicroTime`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_time(text: str) -> datetime | None:
    """Read a Kubernetes `Time`; None if the text is no such time."""
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
