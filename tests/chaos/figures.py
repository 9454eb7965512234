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
        spares_calls: Whether no MCP call may fail.
    """

    median: float | None = None
    worst: float | None = None
    fence: float = 0
    is_quiet: bool = False
    spares_calls: bool = False

    def excuses(self, lost: Iterable[float]) -> bool:
        """Tell whether writes may be lost that were acknowledged at these times, in seconds after the fault."""
        return all(0 <= at < self.fence for at in lost)

    def __str__(self) -> str:
        bounds = ((self.median, "median"), (self.worst, "worst"))
        gaps = [f"≤ {bound:g} s {which}" for bound, which in bounds if bound is not None]
        lost = f"lost only within {self.fence:g} s" if self.fence else "0 lost"
        rest = ((self.is_quiet, "one reconnect"), (self.spares_calls, "no failed MCP call"))
        return ", ".join((*gaps, lost, *(told for is_wanted, told in rest if is_wanted)))


@dataclass(frozen=True)
class SessionUse:
    """What users of MCP sessions saw of one run.

    Attributes:
        sessions: Number of open sessions.
        lost: How many of them some proxy refused to continue afterwards.
        calls: Calls in these sessions that had not ended when the fault struck.
        failed: How many of these calls failed; a client tries again.
        slowest: Seconds until the slowest of these calls had succeeded or failed; None if there was none.
    """

    sessions: int = 0
    lost: int = 0
    calls: int = 0
    failed: int = 0
    slowest: float | None = None

    def __str__(self) -> str:
        slowest = f", the slowest took {seconds(self.slowest)} s" if self.slowest is not None else ""
        return f"sessions lost {self.lost} of {self.sessions}, MCP calls failed {self.failed} of {self.calls}{slowest}"


@dataclass(frozen=True)
class Trial:
    """One run of one fault.

    Attributes:
        fault: Name of the fault.
        size: Size of the storage.
        seconds: Seconds from the fault until the storage had recovered; 0 if the run failed.
        verdict: The verdict of the writer with ToolHive's client; None if the run failed, or had no such writer.
        impatient: The verdict of the impatient writer; None if the run failed.
        use: What users of MCP sessions saw.
        problem: Why the run failed; empty if it did not.
        date: Day of the run, as ISO 8601 writes it.
    """

    fault: str
    size: str
    seconds: float = 0
    verdict: Verdict | None = None
    impatient: Verdict | None = None
    use: SessionUse = SessionUse()
    problem: str = ""
    date: str = ""

    def __str__(self) -> str:
        told = [f"{self.fault} ({self.size})"]
        for client, verdict in (("go-redis", self.verdict), ("impatient", self.impatient)):
            if verdict:
                errors = ", ".join(f"{times} {kind}" for kind, times in verdict.errors.items()) or "no error"
                lost = f"lost {len(verdict.lost)} of {verdict.acked}"
                told.append(f"{client}: gap {seconds(verdict.gap.seconds)} s, {lost}, {errors}")
        told.append(str(self.use))
        told.append(f"recovered after {self.seconds:.1f} s" if not self.problem else f"FAILED: {self.problem}")
        return "; ".join(told)


@dataclass(frozen=True)
class Summary:
    """All runs of one fault on one size."""

    trials: Sequence[Trial]

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts of the writer with ToolHive's client on the runs that did not fail."""
        return [trial.verdict for trial in self.trials if trial.verdict and not trial.problem]

    @property
    def impatient(self) -> list[Verdict]:
        """The verdicts of the impatient writer on the runs that did not fail."""
        return [trial.impatient for trial in self.trials if trial.impatient and not trial.problem]

    @property
    def all_verdicts(self) -> list[Verdict]:
        """The verdicts of both writers."""
        return [*self.verdicts, *self.impatient]

    @property
    def slowest(self) -> float | None:
        """How long the slowest MCP call of all runs took, in seconds; None if there was no call."""
        return max((trial.use.slowest for trial in self.trials if trial.use.slowest is not None), default=None)

    def misses(self, target: Target) -> list[str]:
        """List what the runs missed of a target."""
        return list(self._misses(target))

    def _misses(self, target: Target) -> Iterator[str]:
        if unfinished := len(self.trials) - len(self.verdicts):
            yield f"{unfinished} of {len(self.trials)} runs without a verdict"
        if not self.verdicts:
            return
        gaps = longest(self.verdicts)
        if target.median is not None and statistics.median(gaps) > target.median:
            yield "median gap"
        if target.worst is not None and max(gaps) > target.worst:
            yield "worst gap"
        if not all(target.excuses(verdict.lost) for verdict in self.all_verdicts):
            yield "writes lost"
        if target.is_quiet and not all(verdict.is_one_reconnect for verdict in self.verdicts):
            yield "errors at the client"
        if any(trial.use.lost for trial in self.trials):
            yield "sessions lost"
        if target.spares_calls and any(trial.use.failed for trial in self.trials):
            yield "MCP calls failed"


def longest(verdicts: Iterable[Verdict]) -> list[float]:
    """List the longest write gap of each run, in seconds."""
    return [verdict.gap.seconds for verdict in verdicts]


def summaries(trials: Iterable[Trial]) -> dict[tuple[str, str], Summary]:
    """Group runs by fault and size, in the order in which they came."""
    found: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        found.setdefault((trial.fault, trial.size), []).append(trial)
    return {key: Summary(together) for key, together in found.items()}


def seconds(value: float) -> str:
    """Write a duration in seconds; below one second to the millisecond."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"
