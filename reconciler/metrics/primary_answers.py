"""Counts, second by second, whether each storage's primary answers the heartbeat, and how fast. Pure.

The heartbeat asks every instance once a second. Only answers of the instance that the Service names count: clients get
to no other. A second in which none came counts as unanswered, whatever the reason: the server is silent, its pod is
gone, or its connection is not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from reconciler.metrics import families
from reconciler.metrics.lines import Histogram

if TYPE_CHECKING:
    from reconciler.metrics.lines import LabelledLines
    from shared.objects.resources import Key

PERIOD_SECONDS: Final = 1.0
"""How often the heartbeat asks."""
GRACE_SECONDS: Final = 1.0
"""How old the last answer may be: the heartbeat asks again a second after it, and a little later each time."""
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""In seconds. An instance in the same cluster answers within a millisecond; a service level counts those below 0.1."""


@dataclass(slots=True)
class _Primary:
    """What is known of one storage's primary.

    Attributes:
        primary: Number of the instance that the Service names.
        counted_at: Until when each second has been counted, by the caller's clock.
    """

    primary: int
    counted_at: float
    unanswered: int = 0
    answers: Histogram = field(default_factory=lambda: Histogram(BOUNDS))


class PrimaryAnswers:
    """Counts of all storages, since this process began to lead. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._answers: dict[Key, _Primary] = {}

    def note_primary(self, storage: Key, primary: int, at: float, *, has_served: bool) -> None:
        """Note which instance the Service names.

        Args:
            storage: Its storage.
            primary: Its number.
            at: When that was seen.
            has_served: Whether consumers could ever use the storage; from then on seconds count.
        """
        if (known := self._answers.get(storage)) is not None:
            known.primary = primary
        elif has_served:
            self._answers[storage] = _Primary(primary, at)

    def note_answer(self, storage: Key, instance: int, seconds: float, at: float) -> None:
        """Count an answer, which took this long; those of other instances do not count."""
        known = self._answers.get(storage)
        if known is not None and known.primary == instance:
            known.answers.observe(seconds)
            known.counted_at = at

    def count_silence(self, at: float) -> None:
        """Count the seconds in which no answer came; to be called about once a second."""
        for known in self._answers.values():
            missed = int((at - known.counted_at - GRACE_SECONDS) / PERIOD_SECONDS)
            if missed > 0:
                known.unanswered += missed
                known.counted_at += missed * PERIOD_SECONDS

    def forget(self, storage: Key) -> None:
        """Drop a storage that is gone."""
        self._answers.pop(storage, None)

    def add_lines(self, own: LabelledLines, storage: Key) -> None:
        """Add the storage's lines; none before it has served."""
        if (known := self._answers.get(storage)) is not None:
            own.add(families.PROBES, sum(known.answers.counts), "answered")
            own.add(families.PROBES, known.unanswered, "unanswered")
            own.add_histogram(families.PROBE_SECONDS, known.answers)
