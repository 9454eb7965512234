"""Writes the text of docs/resilience.md. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.session_storage.sizes import Size
from tests.bench.figures import table
from tests.chaos.catalogue import BY_NAME, FAULTS
from tests.chaos.figures import longest, seconds, summaries
from tests.chaos.peers import BEST, REVISIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.chaos.figures import Summary, Target, Trial
    from tests.chaos.floor import Floor
    from tests.chaos.verdicts import Verdict

NONE: Final = "-"
SLICE: Final = "the only EndpointSlice of a Service without a selector"
SELECTOR: Final = "a Service's selector"


@dataclass(frozen=True)
class Circumstances:
    """Date, machine and seed of the measurement.

    Attributes:
        date: The day, as ISO 8601 writes it.
        facts: Hardware and versions, by name.
        seed: Seed of all random choices.
        deviations: Settings of the cluster that differ from Kubernetes' defaults, each with its value.
    """

    date: str
    facts: Mapping[str, str]
    seed: int
    deviations: Sequence[str] = ()


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
            _PICTURE,
            table(("fault", "operator", "gap s", "runs", "what else"), _peers()),
            table(("", circumstances.date), circumstances.facts.items()),
            deviating(circumstances),
            _METHOD,
            table(("fault", "what happens"), ((fault.name, fault.description) for fault in FAULTS)),
            _RESULTS.format(seed=circumstances.seed),
            table(_COLUMNS, _rows(measured.trials)),
            _FLOOR,
            table(("what is patched", "moves", "median ms", "least ms", "largest ms"), _floor(measured.floor)),
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
    "impatient median s",
    "impatient worst s",
    "acknowledged",
    "lost",
    "lost worst",
    "sessions lost",
    "MCP calls failed",
    "slowest MCP call s",
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
    gaps = (*_gaps(summary.verdicts), *_gaps(summary.impatient))
    if not (found := summary.all_verdicts):
        return (*gaps, *(NONE,) * 3)
    lost = [len(verdict.lost) for verdict in found]
    return (*gaps, str(sum(verdict.acked for verdict in found)), str(sum(lost)), str(max(lost)))


def _gaps(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    if not (gaps := longest(verdicts)):
        return NONE, NONE
    return seconds(statistics.median(gaps)), seconds(max(gaps))


def _sessions(summary: Summary) -> tuple[str, str, str]:
    lost, opened, failed, calls = (
        sum(getattr(trial.use, what) for trial in summary.trials) for what in ("lost", "sessions", "failed", "calls")
    )
    slowest = NONE if summary.slowest is None else seconds(summary.slowest)
    return f"{lost} of {opened}", f"{failed} of {calls}", slowest


def _judged(summary: Summary) -> tuple[str, str]:
    target = _target(summary)
    misses = summary.misses(target)
    return str(target), f"**no**: {', '.join(misses)}" if misses else "yes"


def _floor(floor: Floor) -> Iterator[tuple[str, ...]]:
    for way, took in ((SLICE, floor.endpoints), (SELECTOR, floor.selector)):
        told = (statistics.median(took), min(took), max(took)) if took else ()
        yield way, str(len(took)), *(f"{value * 1000:.0f}" for value in told), *(NONE,) * (3 - len(told))


def deviating(circumstances: Circumstances) -> str:
    """Write which settings of the cluster are not those that Kubernetes has by default."""
    if not circumstances.deviations:
        return "All figures of our storages are those of a cluster with Kubernetes' defaults.\n"
    told = "".join(f"- {setting}\n" for setting in circumstances.deviations)
    return f"All figures of our storages are those of a cluster with these settings instead of the defaults:\n\n{told}"


def _peers() -> Iterator[tuple[str, ...]]:
    for peer in BEST:
        yield peer.fault, f"{peer.name} {REVISIONS[peer.name]}", f"{peer.seconds:.2f}", str(peer.runs), peer.others


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
_PICTURE: Final = """\
![The longest time without an acknowledged write, by fault and size](resilience.svg)

The figures of other operators are those of the best of their runs that we saw on 23 November 2026. Each ran three
instances on a cluster of this kind with Kubernetes' defaults for kube-proxy. The client wrote through the operator's
Service about every 5 ms, and waited at most 1 s for anything. `image` stands for a new CPU request, which replaces all
pods too.
"""
_METHOD: Final = """\
## What happens, and what is measured

The cluster has three nodes in network namespaces of one machine, with real kubelets, kube-proxies and a real API
server, with unmodified ToolHive, and with our chart and its defaults. All nodes share the machine's processors and its
disk.

Two clients in pods of their own set new keys, each about one every 2 ms. They run on another node than the primary, and
use the Service's name and the password that consumers use.

- **go-redis** is the library of ToolHive's proxies, in the version that they have and with their options: it waits 5 s
  for a connection and 3 s for an answer, and tries again by itself. A write that it tried several times is one write.
  The targets are about what this client sees.
- The **impatient** client waits 0.25 s for a connection and 0.5 s for an answer, and connects anew at once. It shows
  how long the Service itself was away.

A **gap** is the longest time between two acknowledged writes that had not ended when the fault struck. When the storage
has recovered, each client asks the primary for every key whose write was acknowledged; a key that is missing is
**lost**. Acknowledged and lost writes are those of both clients. Meanwhile three MCP sessions are in use through two of
ToolHive's proxies, with up to ten calls a second; a session that either proxy refuses afterwards is **lost** too. MCP
calls count from the one that the fault interrupted, and the **slowest** may be one that failed. A run ends when all
instances are in sync again and the storage's status says so.
"""
_RESULTS: Final = """\
## Results

The seed of the random choices in the newest runs was {seed}. In a planned change go-redis may tell its caller of one
closed connection, and of nothing else.
"""
_FLOOR: Final = """\
The floor: how long one patch of a cluster at rest takes to lead new connections to another pod, in the same
measurement. No planned move can be faster.
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
pod, and loses it with the pod. `small` and `medium` have one instance, which is away after it lost its pod until
Kubernetes has made another one. `medium` then has what its file on disk holds: Valkey writes to that file before it
answers, and flushes the file to the disk each second.
"""
