"""A process that looks after three modelled instances: it asks, decides, and carries out effect by effect.

What it decides is the product's own decision; what comes of it is, in short, what the plan of a storage makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.failover.decision import Decision, Promote, decide, fence, unheard_for
from tests.support.replicated import TICK_SECONDS, US

if TYPE_CHECKING:
    from reconciler.failover.members import Member
    from tests.support.replicated import Storage

FRESH_TICKS = 2
"""How long it may take from looking to acting; what it planned is thrown away then."""


@dataclass
class Reconciler:
    """One of two that may take themselves for the leader.

    Attributes:
        storage: What it looks after.
        began: When it started; before that it knows nothing.
        heard: When each instance gave its last sign of life.
        hearing: When each replica was last seen to hear its primary.
        looked: When it made its plan; the view, the version of the Service and its selector are of then.
        effects: What is left of the plan, each with the instance that it is about.
    """

    storage: Storage
    began: int = 0
    heard: dict[int, float] = field(default_factory=dict)
    hearing: dict[int, int] = field(default_factory=dict)
    looked: int = 0
    version: int = 0
    selected: int = 0
    view: list[Member] = field(default_factory=list)
    decision: Decision | None = None
    effects: list[tuple[str, int]] = field(default_factory=list)
    claim: tuple[int, int] = (0, 0)

    def hear(self) -> None:
        """Ask all instances, and keep when each gave its last sign of life."""
        storage = self.storage
        for instance in storage.instances:
            if instance.is_alive and not storage.is_cut(US, instance.index):
                self.heard[instance.index] = storage.now
        self.hearing |= {member.index: storage.now for member in self._members() if member.hears}
        sign = storage.now - unheard_for(storage.selected, self._members()) / TICK_SECONDS
        self.heard[storage.selected] = max(sign, self.heard.get(storage.selected, self.began))

    def look(self) -> None:
        """Ask all instances, decide, and plan."""
        self.hear()
        self.view, self.looked = self._members(), self.storage.now
        self.version, self.selected = self.storage.version, self.storage.selected
        self.decision = decide(self.selected, self.view, 3)
        self.effects = self._planned(self.decision)

    def act(self) -> None:
        """Carry out the next effect of the plan, if there is one."""
        if not self.effects:
            return
        what, index = self.effects.pop(0)
        if not getattr(self, f"_{what}")(index):
            self.effects = []

    def _members(self) -> list[Member]:
        now = self.storage.now
        silent = [(now - self.heard.get(index, self.began)) * TICK_SECONDS for index in range(3)]
        behind = [(now - self.hearing.get(index, now)) * TICK_SECONDS for index in range(3)]
        return [self.storage.member(index, silent[index], behind[index]) for index in range(3)]

    def _planned(self, decision: Decision) -> list[tuple[str, int]]:
        answering = [member for member in self.view if member.answers]
        if isinstance(decision, Promote):
            to = decision.index
            followers = [("follow", each.index) for each in answering if each.index != to]
            return [("claim", to), ("promote", to), *followers, ("select", to), ("fence", to)]
        if not self.view[self.selected].is_primary:
            return []
        astray = [each for each in answering if each.index != self.selected and self._is_astray(each)]
        return [("fence", self.selected), *(("follow", each.index) for each in astray)]

    def _is_astray(self, member: Member) -> bool:
        return member.is_primary or self.storage.instances[member.index].upstream not in {None, self.selected}

    def _reaches(self, index: int) -> bool:
        return self.storage.instances[index].is_alive and not self.storage.is_cut(US, index)

    # Effects; each tells whether the plan goes on after it

    def _claim(self, index: int) -> bool:
        storage = self.storage
        if self.version != storage.version or storage.now - self.looked > FRESH_TICKS:
            return False
        storage.version += 1
        storage.claim = self.claim = (storage.version, index)
        return True

    def _promote(self, index: int) -> bool:
        if self._reaches(index):
            self.storage.promote(index)
        return self._reaches(index)

    def _follow(self, index: int) -> bool:
        if self._reaches(index):
            self.storage.follow(index, self.claim[1] if isinstance(self.decision, Promote) else self.selected)
        return True

    def _select(self, index: int) -> bool:
        storage = self.storage
        if storage.claim != self.claim:
            return False
        storage.version += 1
        storage.selected = index
        return True

    def _fence(self, index: int) -> bool:
        if self._reaches(index):
            self.storage.instances[index].fence = fence(index, self.view, 3)
        return True
