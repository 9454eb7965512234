"""Writes the text of docs/resilience-rotation.md. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench.figures import table
from tests.chaos.catalogue import BY_NAME
from tests.chaos.report import NONE, deviating

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.report import Circumstances
    from tests.chaos.rotating.figures import Trial


def document(trials: Sequence[Trial], circumstances: Circumstances) -> str:
    """Write the document."""
    explained = ((name, BY_NAME[name].description) for name in dict.fromkeys(trial.fault for trial in trials))
    return "\n".join(
        (
            _INTRODUCTION,
            table(("", circumstances.date), circumstances.facts.items()),
            deviating(circumstances),
            _METHOD,
            table(("fault", "what happens"), explained),
            _RESULTS.format(seed=circumstances.seed),
            table(_COLUMNS, map(_row, trials)),
            "".join(_problems(trials)) or "No run failed.\n",
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
    "recovered s",
    "Discarded s",
    "kept",
)


def is_met(trials: Sequence[Trial]) -> bool:
    """Tell whether every run kept the invariant."""
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
        f"{seen.recovered:.1f}",
        f"{seen.took:.0f}",
        judged,
    )


def _problems(trials: Sequence[Trial]) -> Iterator[str]:
    if told := [f"- {trial.fault}: {trial.problem}\n" for trial in trials if trial.problem]:
        yield "These runs failed:\n\n"
        yield from told


_INTRODUCTION: Final = """\
# Resilience of rotations

`make chaos` writes this page; `python -m tests.chaos --rotating` repeats this part alone, in about half an hour.
"""
_METHOD: Final = """\
## What happens, and what is measured

An annotation asks a `large` storage to change its passwords. **From** is a phase of the rotation, chosen at random: the
program begins the fault as soon as the storage's status shows it. The fault needs some time to find its target, and the
phases before `AwaitConsumers` last for less than a second. So **struck in** is the phase that the status showed when
the fault struck. A run ends when all instances are in sync again and the rotation is `Discarded`. Cluster and chart are
those of [the other faults](resilience.md), and the writer is the impatient client there.

Meanwhile a client in a pod on another node than the primary's logs in to each instance and to the Service every 50 ms.
It uses every password that must work: the one that the connection Secret has at this moment, and the one that kubelet
has mounted from it, which may be older. A login is **refused** if the instance answers and does not let the client in
(`WRONGPASS`, `NOAUTH`, `NOPERM`). This must never happen, neither to a login nor to the writer's commands. A login is
**cut off** if it gets no answer, or another one. This may happen only from the moment at which the fault strikes until
the storage has recovered, except for a connection that the end of the former password closes. At the end, the new
password must work at every instance and at the Service, and no former one may work anywhere. Acknowledged writes may be
lost only where the fault alone would lose some.
"""
_RESULTS: Final = """\
## Results

The seed of the random choices was {seed}.
"""
_HONESTY: Final = """\
Two kinds of commands fail: those that the fault cuts off, and one on the connection that an instance closes when the
former password ends. A client whose pod the reconciler does not know has to connect anew then.
"""
