"""Counts how often, why and how fast clients were sent to another instance. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from reconciler.metrics import families
from reconciler.metrics.lines import Histogram
from reconciler.state.primary_record import FIRST_START, PrimaryRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.metrics.lines import LabelledLines
    from shared.objects.resources import Key

BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""In seconds. A failover takes about 0.1 s from its decision, a planned move about one."""


@dataclass(slots=True)
class _Changes:
    """Changes of one storage's primary.

    Attributes:
        last: The newest one that was seen, without its epoch: a claim that is taken back writes the same change again
            with another one.
    """

    last: PrimaryRecord
    by_reason: dict[str, int] = field(default_factory=dict)
    seconds: dict[bool, Histogram] = field(
        default_factory=lambda: {is_planned: Histogram(BOUNDS) for is_planned in (True, False)}
    )


class PrimaryChanges:
    """Changes of all storages, since this process began to lead.

    They follow from the record in the EndpointSlice, so that a change counts whichever process made it, once.
    """

    def __init__(self, reasons: Mapping[str, bool]) -> None:
        """Take the reasons for which a primary changes, each with whether such a change is planned."""
        self._reasons = reasons
        self._changes: dict[Key, _Changes] = {}

    def note(self, storage: Key, last: PrimaryRecord) -> None:
        """Take in the last change that a look saw; one from before the first look does not count."""
        last = last.at(0)
        if (changes := self._changes.get(storage)) is None:
            self._changes[storage] = _Changes(last)
            return
        if last == changes.last:
            return
        changes.last = last
        if last.ended and last.reason and last.reason != FIRST_START:
            changes.by_reason[last.reason] = changes.by_reason.get(last.reason, 0) + 1
            is_planned = self._reasons.get(last.reason, False)
            changes.seconds[is_planned].observe(last.took)

    def forget(self, storage: Key) -> None:
        """Drop a storage that is gone."""
        self._changes.pop(storage, None)

    def add_lines(self, own: LabelledLines, storage: Key) -> None:
        """Add the storage's lines; none before its first look.

        What has not come up yet counts 0, so that Prometheus sees the first change as an increase.
        """
        if (changes := self._changes.get(storage)) is None:
            return
        for reason, count in (dict.fromkeys(self._reasons, 0) | changes.by_reason).items():
            own.add(families.PRIMARY_CHANGES, count, reason, _shown(is_planned=self._reasons.get(reason, False)))
        for is_planned, histogram in changes.seconds.items():
            own.add_histogram(families.FAILOVER_SECONDS, histogram, _shown(is_planned=is_planned))


def _shown(*, is_planned: bool) -> str:
    return str(is_planned).lower()
