"""Measures for how long something has been true without a break, by a clock that nobody can set. No I/O.

What is measured is lost with the process, on purpose: a wait that begins anew is longer and never too short, and it
does not matter whose clock is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from certs.rotation.actions import AT_ONCE, Evidence, Lasted

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(slots=True)
class _Fact:
    seen: Hashable | None = None
    since: float = 0.0

    def lasted(self, seen: Hashable | None, at: float) -> timedelta:
        if seen != self.seen:
            self.seen, self.since = seen, at
        return AT_ONCE if seen is None else timedelta(seconds=at - self.since)


class Patience:
    """Remembers since when each part of the evidence has been as it is."""

    def __init__(self) -> None:
        self._trust, self._service = _Fact(), _Fact()

    def measure(self, evidence: Evidence, at: float) -> Lasted:
        """Take in what is true now, and tell for how long.

        Args:
            evidence: What is true.
            at: Reading of a clock that only runs forward, in seconds.
        """
        return Lasted(self._trust.lasted(evidence.trust, at), self._service.lasted(evidence.service, at))
