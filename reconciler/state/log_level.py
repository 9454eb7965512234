"""How much somebody wants to have logged of a storage, and until when: an annotation, parsed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from shared.objects.timestamps import read_time

if TYPE_CHECKING:
    from datetime import datetime

LEVELS: Final = {"debug": "DEBUG", "info": "INFO"}
"""Levels that somebody can ask for, each with Python's name. One can ask for more lines alone: who may annotate a
storage must not be able to hide what happens to it."""
LONGEST: Final = timedelta(days=1)
"""A request counts for so long before its end at most, so that a mistyped year does not fill logs for a year."""
FORM: Final = "<debug or info>@<end in UTC, within a day, such as 2026-01-31T18:00:00Z>"


@dataclass(frozen=True, slots=True)
class LogLevelRequest:
    """A wish to have more logged of a storage for a while.

    Attributes:
        level: The least level to log, as Python names it.
        until: When it ends, in UTC.
    """

    level: str
    until: datetime

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Read the annotation's value; None if it cannot be read."""
        word, _, end = text.strip().partition("@")
        level, until = LEVELS.get(word.lower()), read_time(end)
        return cls(level, until) if level is not None and until is not None else None

    def counts_at(self, now: datetime) -> bool:
        """Tell whether it is to be followed now."""
        return now < self.until <= now + LONGEST
