"""Faults one after the other, chosen by chance, with no more time between them than it takes to write again."""

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
"""Each leaves the data of every node in place: what is acknowledged must survive any sequence of them."""


def choose(chance: random.Random) -> list[Inflict]:
    """Choose what happens. Pure but for the chance."""
    return chance.choices(POOL, k=LENGTH)


def inflict(scene: Scene) -> float:
    """Have it all happen."""
    struck = []
    for act in choose(scene.chance):
        struck.append(act(scene))
        scene.writer.await_steady()
    return struck[0]
