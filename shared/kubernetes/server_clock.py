"""The API server's clock, read from the `Date` of its answers.

API servers judge the webhook's certificates, so the reconciler dates certificates by their clock. By the same clock it
writes all times into storages, because the next leader compares them with its own time, and the clock of either leader
may be wrong.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ServerClock:
    """Runs on from the newest answer. It is up to a second slow, because a `Date` has no fractions."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: tuple[datetime, float] | None = None

    def set(self, date: str | None) -> None:
        """Set the clock by the `Date` of an answer; a header that is absent or malformed changes nothing."""
        try:
            read = parsedate_to_datetime(date) if date else None
        except ValueError:
            return
        # A time without a zone may be in any zone.
        if read is not None and read.tzinfo is not None:
            self._last = read.astimezone(UTC), self._monotonic()

    def now(self) -> datetime:
        """Return the aware instant; before the first answer, by the clock of this machine."""
        if self._last is None:
            return datetime.now(UTC)
        date, at = self._last
        return date + timedelta(seconds=self._monotonic() - at)
