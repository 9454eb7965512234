"""What time it is for the API server, by the `Date` of its answers.

API servers are the ones that judge the webhook's certificates, so it is their clock that certificates are made by, and
that storages are looked after by: what was noted when, as in a rotation of passwords, is judged by whoever leads next.
Our own clock may be wrong; that of the next leader, too.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ServerClock:
    """Runs on from the newest answer, a second late at most: a `Date` has no fractions."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._heard: tuple[datetime, float] | None = None

    def hear(self, date: str | None) -> None:
        """Take in the header of an answer; one that cannot be read is passed over."""
        try:
            told = parsedate_to_datetime(date) if date else None
        except ValueError:
            return
        # Without a zone it would be anybody's guess.
        if told is not None and told.tzinfo is not None:
            self._heard = told.astimezone(UTC), self._monotonic()

    def now(self) -> datetime:
        """Tell the aware instant; by our own clock, until there was an answer."""
        if self._heard is None:
            return datetime.now(UTC)
        told, at = self._heard
        return told + timedelta(seconds=self._monotonic() - at)
