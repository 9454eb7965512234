"""Rotations of storages with replicas, in a cluster where much else goes wrong: nobody is locked out, and they end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from reconciler.rotation.phases import RotationSettings
from shared.kubernetes.server_clock import ServerClock
from shared.objects.resources import PODS, SESSION_STORAGES
from shared.session_storage.sizes import PRESETS, Size
from tests.support.drill import Drill, assert_gone, passwords
from tests.support.simulated import KEY, NAMESPACE, OURS, SETTINGS

REFRESH = RotationSettings().refresh
STEP_SECONDS = 10.0
"""How much time passes in a pass: a tenth of what kubelet may take to refresh a mounted Secret."""
KUBELET_SECONDS = 90.0
SIZES = st.sampled_from([Size.MEDIUM, Size.LARGE])
INDEXES = st.sampled_from(range(3))
PEERS = st.sampled_from([OURS, 0, 1, 2])
PASSES = st.sampled_from([0, 1, 2, 4, 8, 25])
"""Passes before the next thing happens: none, a few, or enough to discard the former passwords."""
ENOUGH = 120
"""Passes within which a change of the size and a rotation end in a cluster that is well; 40 to 60 are usual."""


class Disturbed(RuleBasedStateMachine):
    """Chooses faults and their order while passwords and the size change."""

    def __init__(self) -> None:
        super().__init__()
        self.drill = Drill(replace(SETTINGS, rotation=RotationSettings(refresh=REFRESH)))
        self.simulation = self.drill.simulation
        self.simulation.is_kubelet_late = True
        self.seconds = 0.0
        self.stale_since: dict[str, float] = {}
        self.words = itertools.count(1)
        self.word = ""
        clock = ServerClock(lambda: self.seconds)
        clock.set("Mon, 23 Nov 2026 12:00:00 GMT")
        self.simulation.api.clock = clock
        self.simulation.start()
        self.runner = asyncio.Runner()

    def run(self, action: Awaitable[None]) -> None:
        async def awaited() -> None:
            await action

        self.runner.run(awaited())

    @initialize(size=SIZES)
    def begin(self, size: Size) -> None:
        self.size = size
        self.run(self.drill.start(size))
        self.old = [passwords(self.drill)]

    # What people do

    @rule(passes=PASSES)
    def rotate(self, passes: int) -> None:
        self.word = f"word-{next(self.words)}"
        self.run(self.drill.ask(self.word))
        self.go_on(passes)

    @rule(size=SIZES, passes=PASSES)
    def resize(self, size: Size, passes: int) -> None:
        self.size = size
        self.run(self.simulation.edit(SESSION_STORAGES, KEY[1], {"spec": {"size": size}}))
        self.go_on(passes)

    # What the reconciler does

    @rule(passes=PASSES)
    def go_on(self, passes: int) -> None:
        for _ in range(passes):
            self.step()

    @rule(effects=st.integers(1, 12), when=st.sampled_from(["before", "after"]))
    def die(self, effects: int, when: str) -> None:
        """Another leader begins, after the present one dies at some effect of its next pass."""
        self.drill.killed_at = (len(self.drill.effects) + effects, when)
        self.step()
        self.drill.killed_at = None
        self.simulation.start()

    # What goes wrong

    @rule(one=INDEXES, other=PEERS, passes=PASSES)
    def cut(self, one: int, other: int, passes: int) -> None:
        self.simulation.cuts.add(frozenset({one, other}))
        self.go_on(passes)

    @rule(indexes=st.sets(INDEXES), passes=PASSES)
    def lose_dns(self, indexes: set[int], passes: int) -> None:
        self.simulation.without_dns = indexes
        self.go_on(passes)

    @rule(index=INDEXES, passes=PASSES)
    def strand(self, index: int, passes: int) -> None:
        """The pod goes, and no node takes the next one."""
        self.simulation.homeless.add(index)
        self.replace_pod(index, passes)

    @rule(index=INDEXES, passes=PASSES)
    def replace_pod(self, index: int, passes: int) -> None:
        self.run(self.simulation.api.delete(PODS, NAMESPACE, f"mine-valkey-{index}-0"))
        self.run(self.simulation.boot())
        self.go_on(passes)

    @rule(index=INDEXES, passes=PASSES)
    def restart_container(self, index: int, passes: int) -> None:
        instance = self.simulation.instances_by_pod.get(f"mine-valkey-{index}-0")
        if instance is not None:
            instance.restart()
        self.go_on(passes)

    @rule(index=INDEXES)
    def refresh(self, index: int) -> None:
        if (pod := f"mine-valkey-{index}-0") in self.simulation.mounts:
            self.simulation.refresh(pod)

    @rule()
    def heal(self) -> None:
        self.simulation.cuts.clear()
        self.simulation.without_dns = set()
        self.simulation.homeless.clear()

    def step(self) -> None:
        self.seconds += STEP_SECONDS
        self.keep_mounts()
        self.run(self.drill.step())
        if (present := passwords(self.drill)) not in self.old:
            self.old.append(present)

    def keep_mounts(self) -> None:
        """Do as kubelets do: refresh what has been stale for as long as that may take."""
        fresh = self.simulation.secret("mine-auth")
        for pod, mounted in self.simulation.mounts.items():
            if mounted == fresh:
                self.stale_since.pop(pod, None)
            elif self.seconds - self.stale_since.setdefault(pod, self.seconds) >= KUBELET_SECONDS:
                self.simulation.refresh(pod)

    # What must be in the end

    def teardown(self) -> None:
        try:
            if self.simulation.api.objects:
                self.recover()
        finally:
            self.runner.close()

    def recover(self) -> None:
        """All faults end; then the size, the rotation and every replica are as they should be, and nothing is left."""
        self.heal()
        for _ in range(ENOUGH):
            if self.is_well:
                break
            self.step()
        assert self.is_well, f"not well after {ENOUGH} passes: {self.simulation.status}"
        for former in self.old[:-1]:
            assert_gone(self.drill, former)

    @property
    def is_well(self) -> bool:
        """Whether the storage has its size, the last rotation is over, and every replica is linked."""
        instances = self.simulation.valkey.instances
        primary = instances.get(self.simulation.primary)
        return (
            (not self.word or self.drill.is_over(self.word))
            and len(instances) == PRESETS[self.size].replicas
            and primary is not None
            and len(self.simulation.valkey.replicas(primary)) == len(instances) - 1
            and self.simulation.status["phase"] == "Ready"
            and self.simulation.status["size"] == self.size
        )


def test_replicas_that_are_made_during_a_rotation_and_cannot_resolve_names_follow_once_they_can() -> None:
    """Seen on a cluster: the primary refused them for ever, because nobody had told them the new password."""
    storage = Disturbed()
    storage.begin(Size.MEDIUM)
    storage.lose_dns({0, 1, 2}, passes=0)
    storage.resize(Size.LARGE, passes=8)
    storage.rotate(passes=25)
    storage.teardown()


TestDisturbed = Disturbed.TestCase
TestDisturbed.settings = settings(max_examples=40, stateful_step_count=12)
