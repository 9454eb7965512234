"""Measures for how long evidence has held without a break, by a monotonic clock. No I/O.

A new process measures from zero on purpose: a dwell that starts again takes longer and is never too short. The timer
uses no clock that somebody may set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from certs.rotation.actions import AT_ONCE, Evidence, EvidenceAge

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(slots=True)
class _Timer:
    value: Hashable | None = None
    since: float = 0.0

    def age(self, value: Hashable | None, at: float) -> timedelta:
        if value != self.value:
            self.value, self.since = value, at
        return AT_ONCE if value is None else timedelta(seconds=at - self.since)


class DwellTimer:
    """Remembers since when each part of the evidence has been what it is now."""

    def __init__(self) -> None:
        self._published, self._served = _Timer(), _Timer()

    def measure(self, evidence: Evidence, at: float) -> EvidenceAge:
        """Compare with the evidence of the last call, and tell for how long each part has been the same.

        Args:
            evidence: What holds now.
            at: Reading of a monotonic clock, in seconds.
        """
        return EvidenceAge(self._published.age(evidence.published, at), self._served.age(evidence.served, at))
