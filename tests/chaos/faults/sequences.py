"""Random faults that follow each other; each strikes as soon as the primary acknowledges writes again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.chaos.faults import control, planned, servers

if TYPE_CHECKING:
    import random

    from tests.chaos.faults.fault import Inflict, Scene

LENGTH: Final = 5
POOL: Final[tuple[Inflict, ...]] = (
    servers.kill_server,
    servers.freeze_server,
    servers.delete_pod,
    planned.switch_over,
    control.kill_leader_in_failover,
    control.kill_leader_in_switchover,
)
"""None of these touches an instance's data: acknowledged writes must survive any sequence of them."""


def choose(rng: random.Random) -> list[Inflict]:
    """Choose the faults of a sequence. Pure, apart from the random numbers."""
    return rng.choices(POOL, k=LENGTH)


def inflict(scene: Scene) -> float:
    """Inflict a random sequence of faults, and return when the first one struck."""
    struck = []
    for fault in choose(scene.rng):
        struck.append(fault(scene))
        scene.writers.await_steady()
    return struck[0]
