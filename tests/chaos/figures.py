"""Runs of faults, their targets and their summaries. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.chaos.verdicts import Verdict


@dataclass(frozen=True)
class Target:
    """The target for all runs of one fault on one size.

    Attributes:
        median: Bound of the median write gap, in seconds; None if there is none.
        worst: Bound of every write gap, in seconds; None if there is none.
        fence: How long after the fault acknowledged writes may be lost, in seconds; earlier or later ones never may.
        is_quiet: Whether the client may see no error but one closed connection.
    """

    median: float | None = None
    worst: float | None = None
    fence: float = 0
    is_quiet: bool = False

    def excuses(self, lost: Iterable[float]) -> bool:
        """Tell whether writes may be lost that were acknowledged at these times, in seconds after the fault."""
        return all(0 <= at < self.fence for at in lost)

    def __str__(self) -> str:
        bounds = ((self.median, "median"), (self.worst, "worst"))
        gaps = [f"≤ {bound:g} s {which}" for bound, which in bounds if bound is not None]
        lost = f"lost only within {self.fence:g} s" if self.fence else "0 lost"
        return ", ".join((*gaps, lost, *(["one reconnect"] if self.is_quiet else [])))


@dataclass(frozen=True)
class SessionUse:
    """What users of MCP sessions saw of one run.

    Attributes:
        sessions: Number of open sessions.
        lost: How many of them some proxy refused to continue afterwards.
        calls: Calls in these sessions during the run.
        failed: Calls that failed; a client tries again.
    """

    sessions: int = 0
    lost: int = 0
    calls: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Trial:
    """One run of one fault.

    Attributes:
        fault: Name of the fault.
        size: Size of the storage.
        seconds: Seconds from the fault until the storage had recovered; 0 if the run failed.
        verdict: The writer's verdict; None if the run failed.
        use: What users of MCP sessions saw.
        problem: Why the run failed; empty if it did not.
        date: Day of the run, as ISO 8601 writes it.
    """

    fault: str
    size: str
    seconds: float = 0
    verdict: Verdict | None = None
    use: SessionUse = SessionUse()
    problem: str = ""
    date: str = ""

    def __str__(self) -> str:
        told = [f"{self.fault} ({self.size})"]
        if self.verdict:
            errors = ", ".join(f"{times} {kind}" for kind, times in self.verdict.errors.items()) or "no error"
            told.append(f"gap {seconds(self.verdict.gap.seconds)} s")
            told.append(f"lost {len(self.verdict.lost)} of {self.verdict.acked}")
            told.append(errors)
        use = self.use
        told.append(f"sessions lost {use.lost} of {use.sessions}, calls failed {use.failed} of {use.calls}")
        told.append(f"recovered after {self.seconds:.1f} s" if not self.problem else f"FAILED: {self.problem}")
        return "; ".join(told)


@dataclass(frozen=True)
class Summary:
    """All runs of one fault on one size."""

    trials: Sequence[Trial]

    @property
    def verdicts(self) -> list[Verdict]:
        """The writers' verdicts on the runs that did not fail."""
        return [trial.verdict for trial in self.trials if trial.verdict and not trial.problem]

    @property
    def gaps(self) -> list[float]:
        """The longest write gap of each run, in seconds."""
        return [verdict.gap.seconds for verdict in self.verdicts]

    @property
    def lost(self) -> list[int]:
        """The number of lost writes in each run."""
        return [len(verdict.lost) for verdict in self.verdicts]

    def misses(self, target: Target) -> list[str]:
        """List what the runs missed of a target."""
        return list(self._misses(target))

    def _misses(self, target: Target) -> Iterator[str]:
        if unfinished := len(self.trials) - len(self.verdicts):
            yield f"{unfinished} of {len(self.trials)} runs not finished"
        if not self.verdicts:
            return
        if target.median is not None and statistics.median(self.gaps) > target.median:
            yield "median gap"
        if target.worst is not None and max(self.gaps) > target.worst:
            yield "worst gap"
        if not all(target.excuses(verdict.lost) for verdict in self.verdicts):
            yield "writes lost"
        if target.is_quiet and not all(verdict.is_one_reconnect for verdict in self.verdicts):
            yield "errors at the client"
        if any(trial.use.lost for trial in self.trials):
            yield "sessions lost"


def summaries(trials: Iterable[Trial]) -> dict[tuple[str, str], Summary]:
    """Group runs by fault and size, in the order in which they came."""
    found: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        found.setdefault((trial.fault, trial.size), []).append(trial)
    return {key: Summary(together) for key, together in found.items()}


def seconds(value: float) -> str:
    """Write a duration in seconds; below one second to the millisecond."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"
