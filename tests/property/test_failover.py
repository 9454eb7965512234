"""Whatever goes wrong with instances, network and reconcilers, no safe write is lost and the storage recovers."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reconciler.failover.decision import FailoverBlocked, NewPrimary
from reconciler.state.replication_info import PRIMARY, REPLICA
from tests.support.electing import Reconciler
from tests.support.replicated import FENCE_TICKS, TICK_SECONDS, US, SimulatedInstance, Storage

ALL = {0, 1, 2}
INSTANCES = st.sampled_from(range(3))
RECONCILERS = st.sampled_from(range(2))
DURATIONS = st.sampled_from([1, 2, 4, 7, 10, 16, 30])
"""Ticks: fewer than a fence takes to close, about as many, and many more."""
SETTLING_TICKS = 60
"""More ticks than a fence, a start and the wait for an instance that should come back take together."""
STALE_TICKS = 8
"""Ticks by which a lost write may be older than the primary's last sign of life: the margin for a candidate, and the
fractions of seconds that Valkey cuts off."""


class Failover(RuleBasedStateMachine):
    """Chooses faults and their order, and checks what comes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.storage = Storage()
        self.reconcilers = [Reconciler(self.storage), Reconciler(self.storage)]
        self.keys = 0
        self.written: dict[int, int] = {}
        self.kept_by: dict[int, set[int]] = {}  # by write: who had it when acknowledged, and kept it
        self.safe: set[int] = set()  # writes that all instances had when they were acknowledged
        self.settle()
        self.write_once(self.storage.instances[self.storage.selected], ALL)

    # Faults

    @rule(index=INSTANCES)
    def crash(self, index: int) -> None:
        self.storage.crash(index)

    @rule(index=INSTANCES)
    def crash_and_lose_all(self, index: int) -> None:
        self.storage.crash(index)
        self.storage.instances[index].log = []
        for keepers in self.kept_by.values():
            keepers.discard(index)

    @rule(index=INSTANCES)
    def boot(self, index: int) -> None:
        """Start an instance; its mounted topology may name an earlier primary."""
        if not self.storage.instances[index].is_alive:
            self.storage.boot(index)

    @rule(index=INSTANCES)
    def tell(self, index: int) -> None:
        self.storage.mounted[index] = self.storage.selected

    @rule(index=INSTANCES)
    def delete_by_force(self, index: int) -> None:
        self.storage.instances[index].is_deleted = True
        self.storage.api_gone[index] = True

    @rule(done=st.integers(0, 4), ticks=DURATIONS, delivered=st.sets(INSTANCES))
    def come_back_during_a_failover(self, done: int, ticks: int, delivered: set[int]) -> None:
        """Let a primary die and start again while the leader waits for an API server that is frozen."""
        leader, primary = self.reconcilers[0], self.storage.selected
        self.storage.crash(primary)
        self.storage.tick()
        self.look(0)
        self.act(0, done)
        self.storage.mounted[primary] = primary
        self.storage.boot(primary)
        for _ in range(ticks):
            self.wait(1)
            self.write(delivered)
        self.act(0, len(leader.effects))

    @rule(
        alone=INSTANCES,
        others=st.sets(INSTANCES, min_size=1),
        ours=st.sets(INSTANCES),
        is_loud=st.booleans(),
        ticks=DURATIONS,
    )
    def split(self, alone: int, others: set[int], ours: set[int], *, is_loud: bool, ticks: int) -> None:
        """Cut one instance off from others, and the reconciler from some, by silence or refusals."""
        for index in others - {alone}:
            self.storage.cut(alone, index, is_loud=is_loud)
        for index in ALL - ours:
            self.storage.cut(US, index, is_loud=is_loud)
        self.work(ticks, ALL)

    @rule()
    def heal(self) -> None:
        self.storage.cuts.clear()

    @rule()
    def recover(self) -> None:
        self.settle()

    # Time and clients

    @rule(ticks=DURATIONS)
    def wait(self, ticks: int) -> None:
        for _ in range(ticks):
            self.storage.tick()
            for reconciler in self.reconcilers:
                reconciler.hear()

    @rule(ticks=DURATIONS, delivered=st.sets(INSTANCES))
    def work(self, ticks: int, delivered: set[int]) -> None:
        """Let time pass while a leader looks and acts in every tick, and clients write."""
        for _ in range(ticks):
            self.step()
            self.write(delivered)

    @rule(delivered=st.sets(INSTANCES))
    def write(self, delivered: set[int]) -> None:
        for instance in self.storage.instances:
            if self.storage.takes_writes(instance):
                self.write_once(instance, delivered)

    def write_once(self, instance: SimulatedInstance, delivered: set[int]) -> None:
        lost = [key for key in self.safe if self.kept_by[key] and key not in instance.log]
        assert not lost, f"{instance.index} takes writes without {lost}, which all had, and some have kept"
        self.keys += 1
        self.storage.write(instance.index, self.keys, delivered)
        if instance.index != self.storage.selected:
            return  # an instance about to be fenced took the write: nobody promises to keep it
        holders = {each.index for each in self.storage.instances if self.keys in each.log}
        if len(holders) == 1:
            return  # a write that only the primary has is lost with it
        self.written[self.keys] = self.storage.now
        self.kept_by[self.keys] = holders
        if self.kept_by[self.keys] == ALL:
            self.safe.add(self.keys)

    # Reconcilers

    @rule(which=RECONCILERS)
    def start_anew(self, which: int) -> None:
        self.reconcilers[which] = Reconciler(self.storage, began=self.storage.now)

    @rule(which=RECONCILERS)
    def look(self, which: int) -> None:
        self.reconcilers[which].look()
        self.judge(self.reconcilers[which])

    @rule(which=RECONCILERS, count=st.integers(1, 5))
    def act(self, which: int, count: int) -> None:
        for _ in range(count):
            self.effect(self.reconcilers[which])

    def step(self) -> None:
        """Let a tick pass, in which the leader acts and the other reconciler only asks instances."""
        leader, other = self.reconcilers
        self.storage.tick()
        other.hear()
        leader.look()
        self.judge(leader)
        while leader.effects:
            self.effect(leader)
            self.no_two_take_writes_beyond_the_fence()

    def effect(self, reconciler: Reconciler) -> None:
        before, looked = self.storage.selected, reconciler.looked
        reconciler.act()
        if self.storage.selected != before:
            new = self.storage.instances[self.storage.selected]
            lost = [key for key in self.kept_by if self.written[key] > looked and key not in new.log]
            assert not lost, f"{new.index} is primary without {lost}, which two had after the decision"
        if self.storage.selected != before:  # `judge` has already checked the decision that loses these writes
            kept = self.safe.union(self.storage.instances[self.storage.selected].log)
            self.kept_by = {key: keepers for key, keepers in self.kept_by.items() if key in kept}

    def settle(self) -> None:
        """Repair everything that a cluster repairs by itself, and let time pass."""
        self.storage.cuts.clear()
        for _ in range(SETTLING_TICKS):
            if self.storage.is_well:
                return
            self.step()
            for instance in self.storage.instances:
                if not instance.is_alive:
                    self.storage.mounted[instance.index] = self.storage.selected
                    self.storage.boot(instance.index)

    # Checks

    def judge(self, reconciler: Reconciler) -> None:
        """Check a decision against the true state at that moment."""
        if not isinstance(reconciler.decision, NewPrimary):
            return
        storage, chosen = self.storage, self.storage.instances[reconciler.decision.instance.index]
        primary = storage.instances[storage.selected]
        if not chosen.log and not chosen.offset:
            assert not any(instance.log for instance in storage.instances), (
                "an empty instance is promoted, and another has data"
            )
        if chosen is primary:
            return
        followers = [instance.index for instance in storage.followers(primary)]
        is_serving = primary.is_alive and primary.role == PRIMARY and not primary.is_loading
        assert not (is_serving and followers), f"{chosen.index} is promoted, and {followers} follow {primary.index}"
        # A lost write must be from about the time when the primary was lost, not from long before or after.
        sign = storage.now - reconciler.view[primary.index].silent_for / TICK_SECONDS
        # A reconciler that has just started only knows from the replica how long that was without its primary.
        seen = {key for key, keepers in self.kept_by.items() if keepers and self.written[key] > reconciler.began}
        for key in seen.difference(chosen.log):
            assert -STALE_TICKS <= self.written[key] - sign <= FENCE_TICKS, f"{chosen.index} lacks {key}"

    @invariant()
    def no_two_take_writes_beyond_the_fence(self) -> None:
        taking = [instance for instance in self.storage.instances if self.storage.takes_writes(instance)]
        backed = [instance.index for instance in taking if self.storage.followers(instance) or not instance.fence]
        assert len(backed) <= 1, f"{backed} take writes, and will go on"

    def teardown(self) -> None:
        self.settle()
        self.step()  # so that it decides on the present state
        storage, decision = self.storage, self.reconcilers[0].decision
        primary = storage.instances[storage.selected]
        if isinstance(decision, FailoverBlocked):
            assert primary.role == REPLICA
            assert not primary.log, "the primary's data is there, so no person has to choose"
            assert sum(bool(instance.log) for instance in storage.instances) > 1, "no two instances to choose from"
        else:
            assert storage.takes_writes(primary), f"nobody takes writes, and nobody is asked: {decision}"
            self.write_once(primary, ALL)


TestFailover = Failover.TestCase
TestFailover.settings = settings(max_examples=150, stateful_step_count=30)
