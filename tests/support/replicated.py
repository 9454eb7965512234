"""A model of three instances that replicate asynchronously: what each holds, hears and answers, tick by tick.

It is Valkey's side of a failover: fence, lineages, links that break or only fall silent, boot guard. The reconciler's
decisions are no part of it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from reconciler.state.instance import Instance, InstanceFacts
from reconciler.state.replication_info import PRIMARY, REPLICA, Replication

TICK_SECONDS = 0.5
FENCE_TICKS = 10
"""Ticks after which Valkey has noticed at the latest that a replica is gone: 5 s."""
TIMEOUT_TICKS = 120
"""Ticks after which a silent link counts as broken: Valkey's `repl-timeout`, 60 s."""
US = -1
"""The reconciler's number in the network, beside those of the instances."""


@dataclass
class SimulatedInstance:
    """A server and its disk.

    Attributes:
        upstream: Number of the instance that it was told to follow; None for the one that the Service names.
        link: Number of the instance that it is connected with, as far as it knows.
        heard: When it last had news through the link.
        acked: When each replica last acknowledged something, by number.
        has_clients: Whether clients have reached it since it became a primary.
    """

    index: int
    log: list[int] = field(default_factory=list)
    is_alive: bool = True
    is_loading: bool = False
    role: str = REPLICA
    lineage: str = ""
    former: str = ""
    offset: int = 0
    upstream: int | None = None
    link: int | None = None
    heard: int = 0
    down_since: int | None = None
    fence: int = 1
    acked: dict[int, int] = field(default_factory=dict)
    has_clients: bool = False
    is_deleted: bool = False


class Storage:
    """The instances, the network between them, and the Service."""

    def __init__(self) -> None:
        self.now = 0
        self.instances = [SimulatedInstance(index) for index in range(3)]
        self.selected = 0
        self.version = 0
        self.slice = 0
        self.is_claimed = False
        self.mounted = [0, 0, 0]
        self.cuts: dict[frozenset[int], bool] = {}
        self.api_gone = [False] * 3
        self._lineages = itertools.count(1)
        for instance in self.instances:
            self.boot(instance.index)

    def is_cut(self, one: int, other: int) -> bool:
        return frozenset({one, other}) in self.cuts

    def cut(self, one: int, other: int, *, is_loud: bool) -> None:
        """Cut two parties off from each other; a loud cut refuses connections, as where no server listens."""
        self.cuts[frozenset({one, other})] = is_loud

    def new_lineage(self) -> str:
        return f"history-{next(self._lineages)}"

    # Faults and commands that instances get

    def crash(self, index: int) -> None:
        instance = self.instances[index]
        instance.is_alive, instance.has_clients, instance.acked = False, False, {}
        instance.link, instance.down_since = None, None
        for other in self.instances:
            if not self.is_cut(index, other.index):
                other.acked.pop(index, None)
                if other.link == index:
                    self.unlink(other)

    def boot(self, index: int) -> None:
        """Start as the boot guard decides, from the topology that the pod has mounted."""
        instance = self.instances[index]
        is_primary = self.mounted[index] == index and bool(instance.log)
        instance.is_alive, instance.is_loading, instance.is_deleted = True, bool(instance.log), False
        instance.role = PRIMARY if is_primary else REPLICA
        instance.lineage, instance.former, instance.offset = self.new_lineage(), "", 0
        instance.upstream, instance.link, instance.down_since, instance.fence = None, None, None, 1
        self.api_gone[index] = False

    def unlink(self, instance: SimulatedInstance) -> None:
        instance.link, instance.down_since = None, self.now

    def promote(self, index: int) -> None:
        instance = self.instances[index]
        if instance.role == PRIMARY:
            return
        if instance.link is not None and not self.is_cut(index, instance.link):
            self.instances[instance.link].acked.pop(index, None)
        instance.role, instance.former, instance.lineage = PRIMARY, instance.lineage, self.new_lineage()
        instance.link, instance.down_since, instance.acked, instance.has_clients = None, None, {}, False

    def follow(self, index: int, upstream: int) -> None:
        instance = self.instances[index]
        if instance.role == REPLICA and instance.upstream == upstream:
            return
        if instance.link is not None and not self.is_cut(index, instance.link):
            self.instances[instance.link].acked.pop(index, None)
        for other in self.instances:
            if other.link == index and not self.is_cut(index, other.index):
                self.unlink(other)
        instance.role, instance.upstream, instance.link, instance.down_since = REPLICA, upstream, None, None
        instance.acked, instance.has_clients = {}, False

    # Replication

    def tick(self) -> None:
        self.now += 1
        for instance in self.instances:
            if instance.is_deleted and not self.is_cut(US, instance.index) and instance.is_alive:
                self.crash(instance.index)
            if not instance.is_alive and not self.is_cut(US, instance.index):
                self.api_gone[instance.index] = True
        for instance in self.instances:
            if instance.is_alive and instance.is_loading:
                instance.is_loading = False
            elif instance.is_alive and instance.role == REPLICA:
                self._replicate(instance)
        named = self.instances[self.selected]
        if named.is_alive and named.role == PRIMARY:
            named.has_clients = True

    def _replicate(self, instance: SimulatedInstance) -> None:
        if instance.link is not None:
            self._keep(instance)
            return
        target = self.instances[self.selected if instance.upstream is None else instance.upstream]
        if target is instance or not target.is_alive or target.is_loading or self.is_cut(instance.index, target.index):
            return
        if target.role == PRIMARY:
            instance.link, instance.down_since = target.index, None
            self._copy(instance, target)

    def _keep(self, instance: SimulatedInstance) -> None:
        assert instance.link is not None
        target = self.instances[instance.link]
        if self.is_cut(instance.index, target.index):
            if self.now - instance.heard > TIMEOUT_TICKS:
                self.unlink(instance)
        elif target.is_alive and target.role == PRIMARY and instance.index in target.acked:
            self._copy(instance, target)
        else:
            self.unlink(instance)

    def _copy(self, instance: SimulatedInstance, target: SimulatedInstance) -> None:
        instance.log, instance.offset = list(target.log), target.offset
        instance.lineage, instance.former = target.lineage, target.former
        instance.heard = target.acked[instance.index] = self.now

    # The clients' view

    def good(self, instance: SimulatedInstance) -> list[int]:
        return [index for index, at in instance.acked.items() if self.now - at < FENCE_TICKS]

    def takes_writes(self, instance: SimulatedInstance) -> bool:
        is_reached = instance.has_clients or self.selected == instance.index
        is_serving = instance.is_alive and not instance.is_loading and instance.role == PRIMARY
        return is_serving and is_reached and len(self.good(instance)) >= instance.fence

    @property
    def is_well(self) -> bool:
        """Whether the instance that the Service names takes writes, all others follow it, and none is about to end."""
        named = self.instances[self.selected]
        is_any_ending = any(instance.is_deleted for instance in self.instances)
        return not is_any_ending and self.takes_writes(named) and len(self.followers(named)) == len(self.instances) - 1

    def followers(self, instance: SimulatedInstance) -> list[SimulatedInstance]:
        """Replicas that really follow an instance, whether or not it knows of them."""
        return [
            each
            for each in self.instances
            if each.is_alive and each.link == instance.index and not self.is_cut(each.index, instance.index)
        ]

    def write(self, index: int, key: int, delivered: set[int]) -> None:
        """Acknowledge a write that reaches some replicas at once, and the others at the next tick."""
        instance = self.instances[index]
        instance.log.append(key)
        instance.offset += 1
        for replica in self.followers(instance):
            if replica.index in delivered and replica.index in instance.acked:
                self._copy(replica, instance)

    # The reconciler's view

    def observed(self, index: int, silent_for: float, not_hearing_for: float) -> Instance:
        instance = self.instances[index]
        problem: Any = ""
        facts = None
        if self.is_cut(US, index):
            problem = "down" if self.cuts[frozenset({US, index})] else "unreachable"
        elif not instance.is_alive:
            problem = "down"
        else:
            facts = self._facts(instance)
        pod = {"metadata": {}, "status": {"phase": "Failed" if self.api_gone[index] else "Running"}}
        return Instance(index, pod, facts, problem=problem, silent_for=silent_for, not_hearing_for=not_hearing_for)

    def _facts(self, instance: SimulatedInstance) -> InstanceFacts:
        linked = instance.link is not None and not instance.is_loading
        silence = int((self.now - instance.heard) * TICK_SECONDS) if linked else None
        down_for = None if instance.down_since is None else int((self.now - instance.down_since) * TICK_SECONDS)
        replication = Replication(
            lineage=instance.lineage,
            former_lineage=instance.former,
            offset=instance.offset,
            upstream="" if instance.role == PRIMARY else "somebody",
            is_linked=linked,
            silence=silence,
            down_for=down_for,
            keys=0 if instance.is_loading else len(instance.log),
        )
        return InstanceFacts(instance.role, instance.is_loading, replication=replication, fence=instance.fence)
