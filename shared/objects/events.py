"""The content of an Event. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class EventNote:
    """One Event about an object, before it has a time.

    Attributes:
        type: `Warning` if somebody should look.
        reason: One CamelCase word.
        note: A sentence.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
