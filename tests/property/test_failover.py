"""Whatever goes wrong with instances, network and reconcilers: what must never be, and what comes back by itself."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reconciler.failover.decision import FailoverBlocked, NewPrimary
from reconciler.state.replication_info import PRIMARY, REPLICA
from tests.support.electing import Reconciler
from tests.support.replicated import FENCE_TICKS, TICK_SECONDS, US, SimulatedInstance, Storage

ALL = {0, 1, 2}
NODES = st.sampled_from(range(3))
RECONCILERS = st.sampled_from(range(2))
WHILES = st.sampled_from([1, 2, 4, 7, 10, 16, 30])
"""Ticks: within a fence, about as long as it takes to close, and well beyond."""
SETTLING_TICKS = 60
"""Longer than a fence, a start, and the time for which an instance that should come back is waited for, together."""
STALE_TICKS = 8
"""How much older than the primary's last sign of life a write may be that is lost: the margin for a candidate, and the
parts of seconds that Valkey cuts off."""


class Failover(RuleBasedStateMachine):
    """Chooses what goes wrong, in which order, and judges what comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.storage = Storage()
        self.reconcilers = [Reconciler(self.storage), Reconciler(self.storage)]
        self.keys = 0
        self.written: dict[int, int] = {}
        self.kept_by: dict[int, set[int]] = {}  # of each write: who had it once it was acknowledged, and kept its disk
        self.safe: set[int] = set()  # writes that all instances had when they were acknowledged
        self.settle()
        self.write_once(self.storage.instances[self.storage.selected], ALL)

    # Faults

    @rule(index=NODES)
    def crash(self, index: int) -> None:
        self.storage.crash(index)

    @rule(index=NODES)
    def crash_and_lose_all(self, index: int) -> None:
        self.storage.crash(index)
        self.storage.instances[index].log = []
        for keepers in self.kept_by.values():
            keepers.discard(index)

    @rule(index=NODES)
    def boot(self, index: int) -> None:
        """Start an instance; what it was told about who is primary may be from before."""
        if not self.storage.instances[index].is_alive:
            self.storage.boot(index)

    @rule(index=NODES)
    def tell(self, index: int) -> None:
        self.storage.mounted[index] = self.storage.selected

    @rule(index=NODES)
    def delete_by_force(self, index: int) -> None:
        self.storage.instances[index].is_deleted = True
        self.storage.api_gone[index] = True

    @rule(alone=NODES, others=st.sets(NODES, min_size=1), ours=st.sets(NODES), is_loud=st.booleans(), ticks=WHILES)
    def split(self, alone: int, others: set[int], ours: set[int], *, is_loud: bool, ticks: int) -> None:
        """Cut one instance off from others, and us from some, by silence or by refusals, for a while at least."""
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

    @rule(ticks=WHILES)
    def wait(self, ticks: int) -> None:
        for _ in range(ticks):
            self.storage.tick()
            for reconciler in self.reconcilers:
                reconciler.hear()

    @rule(ticks=WHILES, delivered=st.sets(NODES))
    def work(self, ticks: int, delivered: set[int]) -> None:
        """Let time pass, with a leader that looks and acts all the while, and clients that write."""
        for _ in range(ticks):
            self.step()
            self.write(delivered)

    @rule(delivered=st.sets(NODES))
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
            return  # taken by one that is about to be fenced: nobody promises to keep it
        holders = {each.index for each in self.storage.instances if self.keys in each.log}
        if len(holders) == 1:
            return  # what a primary takes alone is lost with it
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
        """Let a tick pass; one acts, and the other one keeps warm."""
        leader, other = self.reconcilers
        self.storage.tick()
        other.hear()
        leader.look()
        self.judge(leader)
        while leader.effects:
            self.effect(leader)
            self.no_two_take_writes_beyond_the_fence()

    def effect(self, reconciler: Reconciler) -> None:
        before = self.storage.selected
        reconciler.act()
        if self.storage.selected != before:  # what is lost now was judged when that was decided
            kept = self.safe.union(self.storage.instances[self.storage.selected].log)
            self.kept_by = {key: keepers for key, keepers in self.kept_by.items() if key in kept}

    def settle(self) -> None:
        """Put everything right that a cluster puts right by itself, and let time pass."""
        self.storage.cuts.clear()
        for _ in range(SETTLING_TICKS):
            if self.storage.is_well:
                return
            self.step()
            for instance in self.storage.instances:
                if not instance.is_alive:
                    self.storage.mounted[instance.index] = self.storage.selected
                    self.storage.boot(instance.index)

    # What must hold

    def judge(self, reconciler: Reconciler) -> None:
        """Hold a decision against what is really so at that moment."""
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
        # What is lost was taken about when the primary was: neither while all was well, nor long after.
        sign = storage.now - reconciler.view[primary.index].silent_for / TICK_SECONDS
        # Who has just begun to look has only the replica's own word for how long it was without its primary.
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
        self.step()  # for a decision on what is so now
        storage, decision = self.storage, self.reconcilers[0].decision
        primary = storage.instances[storage.selected]
        if isinstance(decision, FailoverBlocked):
            assert primary.role == REPLICA
            assert not primary.log, "the primary's data is there, so nobody need be asked"
            assert sum(bool(instance.log) for instance in storage.instances) > 1, "there is nothing to choose between"
        else:
            assert storage.takes_writes(primary), f"nobody takes writes, and nobody is asked: {decision}"
            self.write_once(primary, ALL)


TestFailover = Failover.TestCase
TestFailover.settings = settings(max_examples=150, stateful_step_count=30)
