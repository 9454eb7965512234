"""Rotations of storages with replicas, in a cluster where much else goes wrong: nobody is locked out, and they end."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.rotation.phases import RotationSettings
from reconciler.rotation.progress import ROTATED
from shared import errors
from shared.kubernetes.server_clock import ServerClock
from shared.objects.resources import PODS, SESSION_STORAGES
from shared.session_storage.sizes import PRESETS, Size
from tests.support.drill import Drill, acting, assert_gone, passwords
from tests.support.simulated import KEY, NAMESPACE, OURS, SETTINGS

REFRESH = RotationSettings().refresh
STEP_SECONDS = 4.0
"""How much time passes in a pass: so much that consumers have restarted before kubelets have refreshed their files."""
KUBELET_SECONDS = 90.0
PHASES = ("Pending", "Added", "Published", "AwaitConsumers", "Discarding", "Discarded")
ENOUGH = 80
"""Passes within which a rotation, or a change of the size, ends in a cluster that is well; 40 to 60 are usual."""
SIZES = st.sampled_from([Size.MEDIUM, Size.LARGE])
INDEXES = st.sampled_from(range(3))
DISTURBANCES = st.one_of(
    st.tuples(st.just("resize"), SIZES),
    st.tuples(st.just("die"), st.integers(1, 12), st.sampled_from(["before", "after"])),
    st.tuples(st.just("cut_from_us"), INDEXES),
    st.tuples(st.just("cut"), INDEXES, INDEXES),
    st.tuples(st.just("lose_dns"), st.sets(INDEXES)),
    st.tuples(st.just("strand"), INDEXES),
    st.tuples(st.just("replace_pod"), INDEXES),
    st.tuples(st.just("restart_container"), INDEXES),
    st.tuples(st.just("refresh"), INDEXES),
    st.tuples(st.just("go_on"), st.sampled_from([1, 5, 30])),
    st.tuples(st.just("heal")),
)
MOMENTS = st.tuples(st.sampled_from(PHASES), DISTURBANCES)


class Disturbed:
    """A storage whose passwords and size change, and what goes wrong meanwhile."""

    def __init__(self) -> None:
        self.drill = Drill(replace(SETTINGS, rotation=RotationSettings(refresh=REFRESH)))
        self.drill.pass_lasts = timedelta(0)
        self.simulation = self.drill.simulation
        self.simulation.kubelets.are_late = True
        self.seconds = 0.0
        self.kept: list[tuple[float, dict[str, str]]] = []  # each content of the auth Secret, and since when
        self.old: list[dict[str, str]] = []
        clock = ServerClock(lambda: self.seconds)
        clock.set("Mon, 23 Nov 2026 12:00:00 GMT")
        self.simulation.api.clock = clock
        self.simulation.start()

    async def begin(self, size: Size) -> None:
        self.size = size
        await self.drill.start(size)
        self.old.append(passwords(self.drill))

    async def rotate(self, word: str = "one") -> None:
        self.word = word
        await self.drill.ask(word)

    async def until(self, phase: str) -> None:
        """Go on until the rotation gets to a phase, if nothing hinders it."""
        for _ in range(ENOUGH):
            if self.drill.phase == phase:
                return
            await self.step()

    # What may happen meanwhile

    async def resize(self, size: Size) -> None:
        self.size = size
        await self.simulation.edit(SESSION_STORAGES, KEY[1], {"spec": {"size": size}})

    async def die(self, effects: int, when: str) -> None:
        """Have the leader die at some effect of its next pass; another one goes on."""
        self.drill.killed_at = (len(self.drill.effects) + effects, when)
        await self.step()
        self.drill.killed_at = None

    async def cut_from_us(self, index: int) -> None:
        await self.cut(index, OURS)

    async def cut(self, one: int, other: int) -> None:
        self.simulation.cuts.add(frozenset({one, other}))

    async def lose_dns(self, indexes: set[int]) -> None:
        self.simulation.without_dns = indexes

    async def strand(self, index: int) -> None:
        """The pod goes, and no node takes the next one."""
        self.simulation.kubelets.homeless.add(index)
        await self.replace_pod(index)

    async def replace_pod(self, index: int) -> None:
        await self.simulation.api.delete(PODS, NAMESPACE, f"mine-valkey-{index}-0")
        await self.simulation.boot()

    async def restart_container(self, index: int) -> None:
        instance = self.simulation.kubelets.running.get(f"mine-valkey-{index}-0")
        if instance is not None:
            instance.restart()

    async def refresh(self, index: int) -> None:
        """Have kubelet refresh what a pod has mounted."""
        if (pod := f"mine-valkey-{index}-0") in self.simulation.kubelets.mounts:
            self.simulation.kubelets.refresh(pod)

    async def go_on(self, passes: int) -> None:
        for _ in range(passes):
            await self.step()

    async def heal(self) -> None:
        self.simulation.cuts.clear()
        self.simulation.without_dns = set()
        self.simulation.kubelets.homeless.clear()

    async def step(self) -> None:
        self.seconds += STEP_SECONDS
        self._keep_mounts()
        await self.drill.step()
        if (present := passwords(self.drill)) not in self.old:
            self.old.append(present)

    def _keep_mounts(self) -> None:
        """Do as the slowest kubelets do: mount what the auth Secret held some time ago, unless a pod has newer."""
        present = self.simulation.secret("mine-auth")
        if not self.kept or self.kept[-1][1] != present:
            self.kept.append((self.seconds, present))
        known = [secret for _, secret in self.kept]
        due = max((at for at, (since, _) in enumerate(self.kept) if since <= self.seconds - KUBELET_SECONDS), default=0)
        for pod, mounted in self.simulation.kubelets.mounts.items():
            self.simulation.kubelets.mounts[pod] = known[max(known.index(mounted), due)]

    # What must be in the end

    async def recover(self) -> None:
        """All faults end; then the size, the rotation and every replica are as they should be, and nothing is left."""
        await self.heal()
        for _ in range(2 * ENOUGH):
            if self.is_well:
                break
            await self.step()
        assert self.is_well, f"not well after {2 * ENOUGH} passes: {self.simulation.status}"
        for former in self.old[:-1]:
            assert_gone(self.drill, former)

    @property
    def rotation_message(self) -> str:
        """What the storage's condition says of the rotation."""
        conditions = {each["type"]: each["message"] for each in self.simulation.status["conditions"]}
        return str(conditions.get(ROTATED, ""))

    @property
    def is_well(self) -> bool:
        """Whether the storage has its size, the last rotation is over, and every replica is linked."""
        instances = self.simulation.valkey.instances
        primary = instances.get(self.simulation.primary)
        return (
            self.drill.is_over(self.word)
            and len(instances) == PRESETS[self.size].replicas
            and primary is not None
            and len(self.simulation.valkey.replicas(primary)) == len(instances) - 1
            and self.simulation.status["phase"] == "Ready"
            and self.simulation.status["size"] == self.size
        )


@settings(max_examples=40)
@given(size=SIZES, before=st.lists(DISTURBANCES, max_size=2), moments=st.lists(MOMENTS, min_size=1, max_size=6))
async def test_whatever_happens_during_a_rotation_nobody_is_locked_out_and_it_ends(
    size: Size, before: list[Any], moments: list[tuple[str, Any]]
) -> None:
    """Things happen before the rotation, and in each of its phases; then it has time to go on, until all faults end."""
    storage = Disturbed()
    await storage.begin(size)
    for name, *arguments in before:
        await getattr(storage, name)(*arguments)
    await storage.rotate()
    for phase in PHASES:
        due = [disturbance for when, disturbance in moments if when == phase]
        if due:
            await storage.until(phase)
        for name, *arguments in due:
            await getattr(storage, name)(*arguments)
    await storage.go_on(ENOUGH)
    await storage.recover()


async def test_replicas_that_are_made_during_a_rotation_and_cannot_resolve_names_follow_once_they_can() -> None:
    """Seen on a cluster: the primary refused them for ever, because nobody had told them the new password."""
    storage = Disturbed()
    await storage.begin(Size.MEDIUM)
    await storage.lose_dns({0, 1, 2})
    await storage.resize(Size.LARGE)
    await storage.go_on(8)
    await storage.rotate()
    await storage.go_on(ENOUGH)
    await storage.recover()


async def test_a_rotation_ends_without_an_instance_that_no_node_takes() -> None:
    storage = Disturbed()
    await storage.begin(Size.LARGE)
    await storage.strand(2)
    await storage.rotate()
    await storage.go_on(ENOUGH)
    assert storage.drill.phase == "Discarded"
    await storage.recover()


@pytest.mark.parametrize(("made", "late"), [(2, 4), (3, 8), (5, 20), (8, 30)])
async def test_a_leader_of_the_past_does_no_harm_to_a_storage_with_replicas(made: int, late: int) -> None:
    """It plans after `made` passes of a rotation, and carries its plan out `late` passes later."""
    storage = Disturbed()
    await storage.begin(Size.LARGE)
    await storage.rotate()
    await storage.go_on(made)
    await storage.simulation.look()
    past = await storage.simulation.decide()
    await storage.go_on(late)
    with acting(storage.drill), contextlib.suppress(errors.SessionStorageError):
        await storage.simulation.carry_out(*past)
    await storage.go_on(ENOUGH)
    await storage.recover()


@pytest.mark.parametrize("does_restart", [False, True])
@pytest.mark.parametrize("phase", PHASES)
async def test_a_replica_that_only_the_reconciler_cannot_reach_keeps_a_password_that_works(
    phase: str, *, does_restart: bool
) -> None:
    storage = Disturbed()
    await storage.begin(Size.LARGE)
    await storage.rotate()
    await storage.until(phase)
    await storage.cut_from_us(1)
    if does_restart:
        await storage.restart_container(1)
    await storage.go_on(ENOUGH)
    assert "mine-valkey-1, which does not answer" in storage.rotation_message or phase in {"Discarding", "Discarded"}
    await storage.recover()
