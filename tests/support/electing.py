"""A reconciler of three modelled instances: it asks them, decides, and carries out its plan effect by effect.

The decision is the product's own; the plan is a short form of what the product plans.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.credentials.key_ring import KeyRing
from reconciler.failover.decision import Decision, NewPrimary, decide_primary
from reconciler.failover.replication_group import ReplicationGroup, primary_silent_for
from shared.session_storage.sizes import PRESETS, Size
from tests.support.replicated import TICK_SECONDS, US

if TYPE_CHECKING:
    from reconciler.state.instance import Instance
    from tests.support.replicated import Storage

FRESH_TICKS = 2
"""Ticks after which a reconciler throws a plan away."""


@dataclass
class Reconciler:
    """One of two reconcilers, which may both consider themselves the leader.

    Attributes:
        storage: The modelled storage.
        began: When it started; it knows nothing of what happened before.
        heard: When each instance gave its last sign of life.
        hearing: When each replica was last seen to hear its primary.
        looked: When it made its plan, and read the view, the versions of the Service and the EndpointSlice, whether
            somebody else has a claim, and the primary.
        effects: The rest of the plan, each effect with the instance that it is about.
    """

    storage: Storage
    began: int = 0
    heard: dict[int, float] = field(default_factory=dict)
    hearing: dict[int, int] = field(default_factory=dict)
    looked: int = 0
    version: int = 0
    slice: int = 0
    must_withdraw: bool = False
    selected: int = 0
    view: list[Instance] = field(default_factory=list)
    decision: Decision | None = None
    effects: list[tuple[str, int]] = field(default_factory=list)
    leading_to: int = 0
    own_claim: int = -1

    def hear(self) -> None:
        """Ask all instances, and keep when each gave its last sign of life."""
        storage = self.storage
        for instance in storage.instances:
            if instance.is_alive and not storage.is_cut(US, instance.index):
                self.heard[instance.index] = storage.now
        self.hearing |= {each.index: storage.now for each in self._observed() if each.hears_primary}
        group = _group(storage.selected, self._observed())
        sign = storage.now - primary_silent_for(group.primary, group.others) / TICK_SECONDS
        self.heard[storage.selected] = max(sign, self.heard.get(storage.selected, self.began))

    def look(self) -> None:
        """Ask all instances, decide, and plan."""
        self.hear()
        self.view, self.looked = self._observed(), self.storage.now
        self.version, self.slice, self.selected = self.storage.version, self.storage.slice, self.storage.selected
        self.must_withdraw = self.storage.is_claimed and self.storage.version != self.own_claim
        self.decision = decide_primary(_group(self.selected, self.view))
        self.effects = self._planned(self.decision)

    def act(self) -> None:
        """Carry out the next effect of the plan, if there is one."""
        if not self.effects:
            return
        what, index = self.effects.pop(0)
        if not getattr(self, f"_{what}")(index):
            self.effects = []

    def _observed(self) -> list[Instance]:
        now = self.storage.now
        silent = [(now - self.heard.get(index, self.began)) * TICK_SECONDS for index in range(3)]
        behind = [(now - self.hearing.get(index, now)) * TICK_SECONDS for index in range(3)]
        return [self.storage.observed(index, silent[index], behind[index]) for index in range(3)]

    def _planned(self, decision: Decision) -> list[tuple[str, int]]:
        answering = [each for each in self.view if each.is_loaded]
        if isinstance(decision, NewPrimary):
            to = decision.instance.index
            followers = [("follow", each.index) for each in answering if each.index != to]
            withdrawal = [("withdraw", to)] if self.must_withdraw else []
            return [*withdrawal, ("claim", to), ("promote", to), *followers, ("select", to), ("fence", to)]
        if not self.view[self.selected].is_primary:
            return []
        misdirected = [each for each in answering if each.index != self.selected and self._is_misdirected(each)]
        return [("fence", self.selected), *(("follow", each.index) for each in misdirected)]

    def _is_misdirected(self, instance: Instance) -> bool:
        return instance.is_primary or self.storage.instances[instance.index].upstream not in {None, self.selected}

    def _reaches(self, index: int) -> bool:
        return self.storage.instances[index].is_alive and not self.storage.is_cut(US, index)

    # Effects; each returns whether the plan goes on after it

    def _withdraw(self, _: int) -> bool:
        storage = self.storage
        if self.slice != storage.slice:
            return False
        storage.slice += 1
        self.slice, storage.is_claimed = storage.slice, False
        return True

    def _claim(self, index: int) -> bool:
        storage = self.storage
        if self.version != storage.version or storage.now - self.looked > FRESH_TICKS:
            return False
        storage.version += 1
        self.own_claim, self.leading_to, storage.is_claimed = storage.version, index, True
        return True

    def _promote(self, index: int) -> bool:
        is_as_seen = self._is_as_seen(index)
        if self._reaches(index):
            self.storage.promote(index)
        return self._reaches(index) and (is_as_seen or self._undo(index))

    def _undo(self, index: int) -> bool:
        """Have an instance follow again the primary that has come back."""
        self.storage.follow(index, self.selected)
        return False

    def _follow(self, index: int) -> bool:
        is_as_seen = self._is_as_seen(index)
        if self._reaches(index):
            self.storage.follow(index, self.leading_to if isinstance(self.decision, NewPrimary) else self.selected)
        if is_as_seen or not isinstance(self.decision, NewPrimary) or self._is_refused_by(index):
            return True
        return self._reaches(index) and self._undo(self.leading_to)

    def _is_as_seen(self, index: int) -> bool:
        """Tell whether an instance has the lineage that it had when the decision was made."""
        is_same = self.storage.instances[index].lineage == self.view[index].replication.lineage
        return self._reaches(index) and is_same

    def _is_refused_by(self, index: int) -> bool:
        """Tell whether no server listens there."""
        return not self.storage.instances[index].is_alive and not self.storage.is_cut(US, index)

    def _select(self, index: int) -> bool:
        storage = self.storage
        if self.slice != storage.slice:
            return False
        storage.slice += 1
        storage.selected, storage.is_claimed = index, storage.version != self.own_claim
        return True

    def _fence(self, index: int) -> bool:
        if self._reaches(index):
            self.storage.instances[index].fence = _group(index, self.view).fence
        return True


def _group(primary: int, view: list[Instance]) -> ReplicationGroup:
    others = tuple(each for each in view if each.index != primary)
    return ReplicationGroup(("team", "cache"), None, view[primary], others, PRESETS[Size.LARGE], KeyRing())
