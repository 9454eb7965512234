"""Writes docs/resilience.md: what was done to storages, what a client saw of it, and how to read that. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.session_storage.sizes import Size
from tests.bench.figures import table
from tests.chaos.catalogue import BY_NAME, FAULTS
from tests.chaos.figures import seconds, summaries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.chaos.figures import Summary, Target, Trial
    from tests.chaos.floor import Floor

NONE: Final = "-"


@dataclass(frozen=True)
class InjectionContext:
    """Where and when it was measured.

    Attributes:
        date: Day, as ISO 8601 writes it.
        facts: What the machine is and which versions ran, by name.
        seed: Of all chance.
    """

    date: str
    facts: Mapping[str, str]
    seed: int


@dataclass(frozen=True)
class Measured:
    """All that was measured in one go.

    Attributes:
        trials: Every run of every fault.
        made: Seconds from `kubectl apply` to Ready of each storage that was made.
        floor: How fast a Service moves its clients.
        valkey: The version that storages ran.
    """

    trials: Sequence[Trial]
    made: Mapping[Size, Sequence[float]]
    floor: Floor
    valkey: str


def document(measured: Measured, circumstances: InjectionContext) -> str:
    """Write the document."""
    return "\n".join(
        (
            _INTRODUCTION,
            table(("", circumstances.date), circumstances.facts.items()),
            _METHOD,
            table(("fault", "what happens"), ((fault.name, fault.what) for fault in FAULTS)),
            _RESULTS.format(seed=circumstances.seed),
            table(_COLUMNS, _rows(measured.trials)),
            _FLOOR.format(moves=len(measured.floor.seconds), **_range(measured.floor.seconds)),
            _MADE,
            table(("size", "storages", "median s", "worst s"), _made(measured.made)),
            _problems(measured.trials),
            _HONESTY,
        )
    )


_COLUMNS: Final = (
    "fault",
    "size",
    "day",
    "runs",
    "gap median s",
    "gap worst s",
    "acknowledged",
    "lost",
    "lost worst",
    "sessions lost",
    "calls failed",
    "target",
    "met",
)


def is_met(trials: Sequence[Trial]) -> bool:
    """Tell whether every fault was as is wanted."""
    return not any(summary.misses(_target(summary)) for summary in summaries(trials).values())


def _target(summary: Summary) -> Target:
    trial = summary.trials[0]
    return BY_NAME[trial.fault].targets[Size(trial.size)]


def _rows(trials: Sequence[Trial]) -> Iterator[tuple[str, ...]]:
    for key, summary in summaries(trials).items():
        day = max(trial.date for trial in summary.trials)
        yield (*key, day, str(len(summary.trials)), *_writes(summary), *_sessions(summary), *_judged(summary))


def _writes(summary: Summary) -> tuple[str, ...]:
    if not summary.verdicts:
        return (NONE,) * 5
    acked = sum(verdict.acked for verdict in summary.verdicts)
    gaps = (seconds(statistics.median(summary.gaps)), seconds(max(summary.gaps)))
    return (*gaps, str(acked), str(sum(summary.lost)), str(max(summary.lost)))


def _sessions(summary: Summary) -> tuple[str, str]:
    lost, opened, failed, calls = (
        sum(getattr(trial.use, what) for trial in summary.trials) for what in ("lost", "sessions", "failed", "calls")
    )
    return f"{lost} of {opened}", f"{failed} of {calls}"


def _judged(summary: Summary) -> tuple[str, str]:
    target = _target(summary)
    misses = summary.misses(target)
    return str(target), f"**no**: {', '.join(misses)}" if misses else "yes"


def _range(values: Sequence[float]) -> dict[str, str]:
    """Write the least, the median and the largest of some durations, in milliseconds."""
    told = {"least": min(values), "median": statistics.median(values), "largest": max(values)}
    return {name: f"{value * 1000:.0f}" for name, value in told.items()}


def _made(made: Mapping[Size, Sequence[float]]) -> Iterator[tuple[str, ...]]:
    for size, took in made.items():
        yield size, str(len(took)), f"{statistics.median(took):.1f}", f"{max(took):.1f}"


def _problems(trials: Sequence[Trial]) -> str:
    told = [f"- {trial.fault} ({trial.size}): {trial.problem}\n" for trial in trials if trial.problem]
    return f"Runs that did not come to their end:\n\n{''.join(told)}" if told else "Every run came to its end.\n"


_INTRODUCTION: Final = """\
# Resilience

Written by `make chaos`, which does all of this again and takes two hours; `tests/chaos/` has the programs. One fault
alone is tried again by `python -m tests.chaos --faults NAME --write`, which replaces its rows alone. A short part of it
(a kill, a deletion, a switchover, a drain) is in `make e2e`, with generous bounds.
"""
_METHOD: Final = """\
## What is done, and what is measured

Three nodes in network namespaces of one machine, with kubelets, kube-proxies and an API server that are the real ones;
unmodified ToolHive; our chart with its defaults. All nodes share the machine's processors and its disk.

A client in a pod on another node than the primary's sets a new key about every 2 ms, through the Service that
consumers use, with their password; it gives up on an answer after 0.5 s, on a new connection after 0.25 s, and
connects anew at once. A **gap** is the longest time between two acknowledged writes that was not over when the fault
struck. When all is whole again, the client asks the primary for every key whose write was acknowledged; what is missing
is **lost**. Meanwhile three MCP sessions are gone on with through two of ToolHive's proxies, one call a second; a
session that either proxy refuses afterwards is **lost** too. A run is over when all nodes are in sync again and the
storage says so.
"""
_RESULTS: Final = """\
## Results

The seed of whatever was left to chance in the newest runs was {seed}. Of planned changes the client may see one closed
connection, and nothing else.
"""
_FLOOR: Final = """\
A Service that is pointed at another pod by one patch of its selector leads new connections there after {least} to
{largest} ms, {median} ms in the median of {moves} moves in the same session: no planned move can be faster than that.
"""
_MADE: Final = """\
From `kubectl apply` to the return of `kubectl wait`, with images on the nodes:
"""
_HONESTY: Final = """\
## What can be lost all the same

Valkey copies asynchronously: a primary answers first, and sends to its replicas right after. A write that was
acknowledged in the instant before a primary dies without warning (power, kernel, SIGKILL) may not have reached any
replica, and is lost if a replica is promoted. No run above proves that this cannot happen; where it says 0 lost, it did
not happen in so many acknowledged writes.

A primary that is cut off from its replicas goes on acknowledging for up to about four seconds, until the engine's own
fence (`min-replicas-to-write`, `min-replicas-max-lag`) stops it. What clients on its side of the cut wrote in that time
is lost when it comes back as a replica.

A planned move loses nothing: writes are paused until the next primary has everything. `small` keeps its data in its
pod, and a pod that is gone takes it along. `small` and `medium` have one node: after a failure they are away until
Kubernetes has started it again, and `medium` keeps what its file on disk has, which is written before a write is
answered and flushed to the disk each second.
"""
