"""Kubernetes' times: RFC 3339 with whole seconds, in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


def written(moment: datetime) -> str:
    """Write an instant as Kubernetes does."""
    return moment.astimezone(UTC).strftime(_TIME)


def read_time(text: str) -> datetime | None:
    """Read what `written` wrote; None if it is nothing of the kind."""
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
