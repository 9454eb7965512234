"""Counts, second by second, whether each storage's primary answers the reconciler's question, and how fast. Pure.

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
PATIENCE_SECONDS: Final = 2.0
"""After so long without an answer, seconds begin to count as unanswered: one period, and one for the answer."""
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""In seconds. An instance in the same cluster answers within a millisecond; a service level counts those below 0.1."""


@dataclass(slots=True)
class _Pulse:
    """What is known of one storage's primary.

    Attributes:
        primary: Number of the instance that the Service names.
        counted_at: Until when each second has been counted, by the caller's clock.
    """

    primary: int
    counted_at: float
    unanswered: int = 0
    answers: Histogram = field(default_factory=lambda: Histogram(BOUNDS))


class Pulses:
    """Counts of all storages, since this process began to lead. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._pulses: dict[Key, _Pulse] = {}

    def note_primary(self, storage: Key, primary: int, at: float) -> None:
        """Note which instance the Service names; from the first time on, seconds count."""
        if (pulse := self._pulses.get(storage)) is None:
            self._pulses[storage] = _Pulse(primary, at)
        else:
            pulse.primary = primary

    def note_answer(self, storage: Key, instance: int, seconds: float, at: float) -> None:
        """Count an answer, which took this long; those of other instances do not count."""
        pulse = self._pulses.get(storage)
        if pulse is not None and pulse.primary == instance:
            pulse.answers.observe(seconds)
            pulse.counted_at = at

    def count_silence(self, at: float) -> None:
        """Count the seconds in which no answer came; to be called about once a second."""
        for pulse in self._pulses.values():
            if (silent := at - pulse.counted_at) >= PATIENCE_SECONDS:
                missed = int(silent / PERIOD_SECONDS) - 1
                pulse.unanswered += missed
                pulse.counted_at += missed * PERIOD_SECONDS

    def forget(self, storage: Key) -> None:
        """Drop a storage that is gone."""
        self._pulses.pop(storage, None)

    def add_lines(self, own: LabelledLines, storage: Key) -> None:
        """Add the storage's lines; none before it has had a primary."""
        if (pulse := self._pulses.get(storage)) is not None:
            own.add(families.PROBES, sum(pulse.answers.counts), "answered")
            own.add(families.PROBES, pulse.unanswered, "unanswered")
            own.add_histogram(families.PROBE_SECONDS, pulse.answers)
