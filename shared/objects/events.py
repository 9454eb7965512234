"""The content of an Event. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class EventNote:
    """One Event about an object, before it has a time; a `Warning` if somebody should look."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
