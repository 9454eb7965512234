"""Inflicts faults in the middle of rotations, one after the other, on one storage."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import DemoError
from deploy.local import progress
from deploy.local.errors import LocalClusterError
from tests.chaos.rotating import trials
from tests.chaos.rotating.figures import SIZE, Trial
from tests.chaos.rotating.rotation import PHASES
from tests.chaos.suite import staged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.demo.images import Images
    from deploy.demo.kube import Kube
    from shared.session_storage.status import RotationPhase
    from tests.chaos.faults.fault import Fault
    from tests.chaos.suite import Stage

DEFAULTS: Final = (
    "sigkill",
    "force-delete",
    "partition",
    "leader-in-failover",
    "leader-in-switchover",
    "switchover",
    "drain",
    "image",
    "all-pods",
    "resize",
)
RUNS: Final = 1


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        faults: The faults, in their order.
        phase: The phase in which each fault begins; None chooses one at random for each run.
        runs: Runs of each fault.
        seed: Seed of all random choices.
    """

    faults: Sequence[Fault]
    phase: RotationPhase | None
    runs: int
    seed: int

    def steps(self) -> Iterator[tuple[Fault, RotationPhase, random.Random]]:
        """List all runs. Pure."""
        for fault in self.faults:
            for number in range(self.runs):
                rng = random.Random(f"{self.seed} rotating {fault.name} {number}")
                random_phase = rng.choice(PHASES)
                yield fault, self.phase or random_phase, rng


def measure(kube: Kube, images: Images, plan: Plan) -> tuple[list[Trial], str]:
    """Do all runs of a plan, and report each as it ends; return the runs and Valkey's version."""
    with staged(kube, images) as stage:
        done: list[Trial] = []
        for step in plan.steps():
            done.append(_try(stage, *step))
            progress.step(str(done[-1]))
        return done, stage.valkey


def _try(stage: Stage, fault: Fault, phase: RotationPhase, rng: random.Random) -> Trial:
    """Run a fault once; an error becomes the run's problem."""
    progress.step(f"{fault.name} in {phase}")
    try:
        return trials.run(fault, stage.stand(SIZE), phase, rng)
    except (DemoError, LocalClusterError) as error:
        return Trial(fault.name, phase, problem=str(error).partition("\n")[0])
