"""Writes docs/resilience-rotation.md: what was done to storages in the middle of a rotation, and who noticed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench.figures import table
from tests.chaos.catalogue import BY_NAME
from tests.chaos.report import NONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.report import InjectionContext
    from tests.chaos.rotating.figures import Trial


def document(trials: Sequence[Trial], circumstances: InjectionContext) -> str:
    """Write the document."""
    explained = ((name, BY_NAME[name].what) for name in dict.fromkeys(trial.fault for trial in trials))
    return "\n".join(
        (
            _INTRODUCTION,
            table(("", circumstances.date), circumstances.facts.items()),
            _METHOD,
            table(("fault", "what happens"), explained),
            _RESULTS.format(seed=circumstances.seed),
            table(_COLUMNS, map(_row, trials)),
            "".join(_problems(trials)) or "Every run came to its end.\n",
            _HONESTY,
        )
    )


_COLUMNS: Final = (
    "fault",
    "from",
    "struck in",
    "logins",
    "refused",
    "cut off",
    "commands",
    "failed",
    "lost writes",
    "whole s",
    "Discarded s",
    "kept",
)


def is_met(trials: Sequence[Trial]) -> bool:
    """Tell whether the invariant was kept in every run."""
    return not any(trial.misses for trial in trials)


def _row(trial: Trial) -> tuple[str, ...]:
    judged = f"**no**: {', '.join(trial.misses)}" if trial.misses else "yes"
    if (seen := trial.seen) is None:
        return (trial.fault, trial.phase, trial.struck_in, *(NONE,) * 8, judged)
    logins, writes = seen.logins, seen.writes
    counts = (
        logins.logins,
        logins.refused,
        logins.failed - logins.refused,
        writes.acked,
        seen.commands_failed,
        len(writes.lost),
    )
    return (
        trial.fault,
        trial.phase,
        trial.struck_in,
        *map(str, counts),
        f"{seen.whole:.1f}",
        f"{seen.took:.0f}",
        judged,
    )


def _problems(trials: Sequence[Trial]) -> Iterator[str]:
    if told := [f"- {trial.fault}: {trial.problem}\n" for trial in trials if trial.problem]:
        yield "Runs that did not come to their end:\n\n"
        yield from told


_INTRODUCTION: Final = """\
# Resilience of rotations

Written by `make chaos`; `python -m tests.chaos --rotating` does this part of it again in about half an hour.
"""
_METHOD: Final = """\
## What is done, and what is measured

A `large` storage is asked to change its passwords by annotation. **From** the moment at which its status shows a phase,
which chance has chosen, a fault is made; it takes its time to find whom to hit, and the phases before `AwaitConsumers`
last for less than a second: **struck in** is the phase that the status showed when it came. A run is over when all
nodes are in sync again and the rotation is `Discarded`. The cluster, the chart and the writer are those of
[the other faults](resilience.md).

Meanwhile a client in a pod on another node than the primary's logs in every 50 ms to each node and to the Service. It
uses every password that gets in by promise: the one that the connection Secret has at this moment, and the one that
kubelet has mounted from it, which may be older. Whoever gets an answer but does not get in (`WRONGPASS`, `NOAUTH`,
`NOPERM`) was **refused**: that must never happen, to a login or to the writer's commands. Whoever gets no answer, or
another one, was **cut off**: only from the moment at which the fault strikes until all is whole again, but for a
connection that the end of the former password closes. At the end the new password has to get in at every node and the
Service, and no former one at any. Acknowledged writes may be lost only where the fault itself costs some.
"""
_RESULTS: Final = """\
## Results

The seed of whatever was left to chance was {seed}.
"""
_HONESTY: Final = """\
Failed commands are those that the fault cuts off, and one connection that is closed when the former password ends:
clients whose pods the operator does not know have to connect anew then.
"""
