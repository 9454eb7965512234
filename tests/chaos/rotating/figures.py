"""Runs of faults in the middle of a password rotation, and the invariant that every run must keep. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.session_storage.sizes import Size
from tests.chaos.catalogue import BY_NAME
from tests.chaos.report import NONE
from tests.chaos.wire import LOCKED_OUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.rotating.logins import Logins
    from tests.chaos.verdicts import Verdict

SIZE = Size.LARGE


@dataclass(frozen=True)
class Seen:
    """What clients saw of one run.

    Attributes:
        recovered: Seconds from the fault until the storage had recovered.
        ended: Seconds from the fault until the phase in which instances begin to refuse the former password.
        took: Seconds from the annotation to Discarded.
        writes: The writer's verdict.
        logins: The prober's verdict.
        instances: Number of the storage's instances at the end.
    """

    recovered: float
    ended: float
    took: float
    writes: Verdict
    logins: Logins
    instances: int

    @property
    def commands_failed(self) -> int:
        """The number of writes that were not acknowledged."""
        return sum(self.writes.errors.values())

    def misses(self, fault: str) -> Iterator[str]:
        """List how a run of this fault broke the invariant."""
        yield from self.logins.misses(self.recovered, self.ended, self.instances)
        if self.writes.errors.keys() & LOCKED_OUT:
            yield "commands refused"
        if not BY_NAME[fault].targets[SIZE].excuses(self.writes.lost):
            yield "writes lost"


@dataclass(frozen=True)
class Trial:
    """One run of one fault in the middle of one rotation.

    Attributes:
        fault: Name of the fault.
        phase: The phase in which the program began the fault.
        struck_in: The phase in which the fault struck.
        seen: What clients saw; None if the run failed.
        problem: Why the run failed; empty if it did not.
    """

    fault: str
    phase: str
    struck_in: str = NONE
    seen: Seen | None = None
    problem: str = ""

    @property
    def misses(self) -> list[str]:
        """How the run broke the invariant; empty if it kept it."""
        return ["not finished"] if self.seen is None else list(self.seen.misses(self.fault))

    def __str__(self) -> str:
        told = [f"{self.fault} from {self.phase} on, in {self.struck_in}"]
        if self.seen is not None:
            logins, writes = self.seen.logins, self.seen.writes
            told.append(f"{logins.refused} of {logins.logins + logins.failed} logins refused")
            told.append(", ".join(map(str, logins.failures)) or "no login failed")
            told.append(f"{self.seen.commands_failed} commands failed, lost {len(writes.lost)} of {writes.acked}")
            told.append(f"recovered after {self.seen.recovered:.1f} s, Discarded after {self.seen.took:.0f} s")
        told.append(self.problem or ", ".join(self.misses) or "kept")
        return "; ".join(told)
