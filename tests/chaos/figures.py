"""Runs of faults, what is wanted of them, and how they are summed up. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.chaos.verdicts import Verdict


@dataclass(frozen=True)
class Target:
    """What is wanted of a fault, of all of its runs together.

    Attributes:
        median: Seconds that half of the write gaps may not exceed; None if that is not asked.
        worst: Seconds that no write gap may exceed; None if that is not asked.
        fence: For so many seconds after the fault acknowledged writes may be lost; later or earlier ones never.
        is_quiet: Whether the client may see nothing but the end of one connection.
    """

    median: float | None = None
    worst: float | None = None
    fence: float = 0
    is_quiet: bool = False

    def excuses(self, lost: Iterable[float]) -> bool:
        """Tell whether writes may be lost that were acknowledged so many seconds after the fault."""
        return all(0 <= at < self.fence for at in lost)

    def __str__(self) -> str:
        bounds = ((self.median, "median"), (self.worst, "worst"))
        gaps = [f"≤ {bound:g} s {which}" for bound, which in bounds if bound is not None]
        lost = f"lost only within {self.fence:g} s" if self.fence else "0 lost"
        return ", ".join((*gaps, lost, *(["one reconnect"] if self.is_quiet else [])))


@dataclass(frozen=True)
class Use:
    """What users of MCP sessions have seen of one run.

    Attributes:
        sessions: How many were open.
        lost: How many of them could not be gone on with afterwards.
        calls: How often a session was gone on with while the fault lasted.
        failed: How often that failed then; a client tries again.
    """

    sessions: int = 0
    lost: int = 0
    calls: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Trial:
    """One run of one fault.

    Attributes:
        fault: Its name.
        size: Of the storage.
        seconds: From the fault until the storage was whole again; 0 if it never was.
        verdict: Of the writer; None if it came to none.
        use: Of MCP sessions.
        problem: Why the run did not come to its end; empty if it did.
        date: Day of the run, as ISO 8601 writes it.
    """

    fault: str
    size: str
    seconds: float = 0
    verdict: Verdict | None = None
    use: Use = Use()
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
        told.append(f"whole after {self.seconds:.1f} s" if not self.problem else f"FAILED: {self.problem}")
        return "; ".join(told)


@dataclass(frozen=True)
class Summary:
    """All runs of one fault on one size."""

    trials: Sequence[Trial]

    @property
    def verdicts(self) -> list[Verdict]:
        """What writers have seen in runs that came to an end."""
        return [trial.verdict for trial in self.trials if trial.verdict and not trial.problem]

    @property
    def gaps(self) -> list[float]:
        """The longest write gap of each run."""
        return [verdict.gap.seconds for verdict in self.verdicts]

    @property
    def lost(self) -> list[int]:
        """How many acknowledged writes each run has lost."""
        return [len(verdict.lost) for verdict in self.verdicts]

    def misses(self, target: Target) -> list[str]:
        """Say what of a target was not met."""
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
    """Put runs of the same fault on the same size together, in the order in which they came."""
    found: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        found.setdefault((trial.fault, trial.size), []).append(trial)
    return {key: Summary(together) for key, together in found.items()}


def seconds(value: float) -> str:
    """Write a duration in seconds, to the millisecond where that means something."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"
