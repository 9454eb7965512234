"""Writes the text of docs/resilience.md. Pure."""

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
class Circumstances:
    """Date, machine and seed of the measurement.

    Attributes:
        date: The day, as ISO 8601 writes it.
        facts: Hardware and versions, by name.
        seed: Seed of all random choices.
    """

    date: str
    facts: Mapping[str, str]
    seed: int


@dataclass(frozen=True)
class Measured:
    """Everything that one measurement found.

    Attributes:
        trials: Every run of every fault.
        made: For each new storage, the seconds from `kubectl apply` to Ready, by size.
        floor: How fast a Service moves its clients.
        valkey: Version of the storages' Valkey.
    """

    trials: Sequence[Trial]
    made: Mapping[Size, Sequence[float]]
    floor: Floor
    valkey: str


def document(measured: Measured, circumstances: Circumstances) -> str:
    """Write the document."""
    return "\n".join(
        (
            _INTRODUCTION,
            table(("", circumstances.date), circumstances.facts.items()),
            _METHOD,
            table(("fault", "what happens"), ((fault.name, fault.description) for fault in FAULTS)),
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
    """Tell whether every fault met its targets."""
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
    """Write the least, the median and the largest of durations, in milliseconds."""
    told = {"least": min(values), "median": statistics.median(values), "largest": max(values)}
    return {name: f"{value * 1000:.0f}" for name, value in told.items()}


def _made(made: Mapping[Size, Sequence[float]]) -> Iterator[tuple[str, ...]]:
    for size, took in made.items():
        yield size, str(len(took)), f"{statistics.median(took):.1f}", f"{max(took):.1f}"


def _problems(trials: Sequence[Trial]) -> str:
    told = [f"- {trial.fault} ({trial.size}): {trial.problem}\n" for trial in trials if trial.problem]
    return f"These runs failed:\n\n{''.join(told)}" if told else "No run failed.\n"


_INTRODUCTION: Final = """\
# Resilience

`make chaos` writes this page and takes two hours; the programs are in `tests/chaos/`. To repeat one fault and replace
its rows alone, run `python -m tests.chaos --faults NAME --write`. `make e2e` repeats a short part (a kill, a deletion,
a switchover, a drain) with generous bounds.
"""
_METHOD: Final = """\
## What happens, and what is measured

The cluster has three nodes in network namespaces of one machine, with real kubelets, kube-proxies and a real API
server, with unmodified ToolHive, and with our chart and its defaults. All nodes share the machine's processors and its
disk.

A client in a pod sets a new key about every 2 ms. It runs on another node than the primary, and uses the Service and
the password that consumers use. It waits 0.5 s for an answer and 0.25 s for a connection, and connects anew at once. A
**gap** is the longest time between two acknowledged writes that had not ended when the fault struck. When the storage
has recovered, the client asks the primary for every key whose write was acknowledged; a key that is missing is
**lost**. Meanwhile three MCP sessions are in use through two of ToolHive's proxies, with one call a second; a session
that either proxy refuses afterwards is **lost** too. A run ends when all instances are in sync again and the storage's
status says so.
"""
_RESULTS: Final = """\
## Results

The seed of the random choices in the newest runs was {seed}. In a planned change the client may see one closed
connection, and nothing else.
"""
_FLOOR: Final = """\
When one patch of its selector points a Service at another pod, new connections reach that pod after {least} to
{largest} ms, {median} ms in the median of {moves} moves in the same measurement. No planned move can be faster.
"""
_MADE: Final = """\
How long a new storage takes from `kubectl apply` until `kubectl wait` returns, with the images on the nodes:
"""
_HONESTY: Final = """\
## What a storage can lose all the same

Valkey replicates asynchronously: a primary answers first, and sends the write to its replicas right after. If a primary
dies without warning (power, kernel, SIGKILL), a write that it acknowledged in its last instant may have reached no
replica, and the promotion of a replica loses it. No run above proves that this cannot happen. Where the table says 0
lost, it did not happen in that many acknowledged writes.

A primary that is cut off from its replicas still acknowledges writes for up to about four seconds, until Valkey's own
fence (`min-replicas-to-write`, `min-replicas-max-lag`) stops it. When it comes back as a replica, it loses what clients
on its side of the cut wrote in that time.

A planned move loses nothing: it pauses writes until the next primary has all of them. `small` keeps its data in its
pod, and loses it with the pod. `small` and `medium` have one instance, which is away after a failure until Kubernetes
has restarted it. `medium` then has what its file on disk holds: Valkey writes to that file before it answers, and
flushes the file to the disk each second.
"""
