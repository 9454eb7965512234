"""Three nodes that replicate asynchronously, as a model: what each holds, hears and answers, tick by tick.

Stands for Valkey's side of a failover: fence, lineages, links that break or only fall silent, boot guard. It has no
idea of who decides what.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from reconciler.failover.members import Member
from reconciler.state.instance import NodeReport
from reconciler.state.instance_facts import NodeFacts
from reconciler.state.replication_info import PRIMARY, REPLICA, Replication

TICK_SECONDS = 0.5
FENCE_TICKS = 10
"""The longest that Valkey may take to notice that a replica is gone: 5 s."""
TIMEOUT_TICKS = 120
"""Valkey's `repl-timeout`, 60 s, after which a silent link counts as broken."""
US = -1
"""The reconciler's place in the network."""


@dataclass
class Node:
    """A server and its disk.

    Attributes:
        upstream: Number of the node it was told to follow; None if whoever the Service names.
        link: Number of the node that it is connected with, as far as it knows.
        heard: When it last had news through the link.
        acked: When each replica last spoke, by number.
        has_clients: Whether clients got to it since it became a primary.
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
    """The nodes, the network between them, and the Service."""

    def __init__(self) -> None:
        self.now = 0
        self.nodes = [Node(index) for index in range(3)]
        self.selected = 0
        self.version = 0
        self.claim = (0, 0)
        self.mounted = [0, 0, 0]
        self.cuts: dict[frozenset[int], bool] = {}
        self.api_gone = [False] * 3
        self._lineages = itertools.count(1)
        for node in self.nodes:
            self.boot(node.index)

    def is_cut(self, one: int, other: int) -> bool:
        return frozenset({one, other}) in self.cuts

    def cut(self, one: int, other: int, *, is_loud: bool) -> None:
        """Cut two parties off from each other; a loud cut refuses connections as if no server listened."""
        self.cuts[frozenset({one, other})] = is_loud

    def new_lineage(self) -> str:
        return f"history-{next(self._lineages)}"

    # What happens to nodes

    def crash(self, index: int) -> None:
        node = self.nodes[index]
        node.is_alive, node.has_clients, node.acked = False, False, {}
        node.link, node.down_since = None, None
        for other in self.nodes:
            if not self.is_cut(index, other.index):
                other.acked.pop(index, None)
                if other.link == index:
                    self.unlink(other)

    def boot(self, index: int) -> None:
        """Start as the boot guard has it, by the topology that the pod has mounted."""
        node = self.nodes[index]
        is_primary = self.mounted[index] == index and bool(node.log)
        node.is_alive, node.is_loading, node.is_deleted = True, bool(node.log), False
        node.role = PRIMARY if is_primary else REPLICA
        node.lineage, node.former, node.offset = self.new_lineage(), "", 0
        node.upstream, node.link, node.down_since, node.fence = None, None, None, 1
        self.api_gone[index] = False

    def unlink(self, node: Node) -> None:
        node.link, node.down_since = None, self.now

    def promote(self, index: int) -> None:
        node = self.nodes[index]
        if node.role == PRIMARY:
            return
        if node.link is not None and not self.is_cut(index, node.link):
            self.nodes[node.link].acked.pop(index, None)
        node.role, node.former, node.lineage = PRIMARY, node.lineage, self.new_lineage()
        node.link, node.down_since, node.acked, node.has_clients = None, None, {}, False

    def follow(self, index: int, upstream: int) -> None:
        node = self.nodes[index]
        if node.role == REPLICA and node.upstream == upstream:
            return
        if node.link is not None and not self.is_cut(index, node.link):
            self.nodes[node.link].acked.pop(index, None)
        for other in self.nodes:
            if other.link == index and not self.is_cut(index, other.index):
                self.unlink(other)
        node.role, node.upstream, node.link, node.down_since = REPLICA, upstream, None, None
        node.acked, node.has_clients = {}, False

    # What goes on by itself

    def tick(self) -> None:
        self.now += 1
        for node in self.nodes:
            if node.is_deleted and not self.is_cut(US, node.index) and node.is_alive:
                self.crash(node.index)
            if not node.is_alive and not self.is_cut(US, node.index):
                self.api_gone[node.index] = True
        for node in self.nodes:
            if node.is_alive and node.is_loading:
                node.is_loading = False
            elif node.is_alive and node.role == REPLICA:
                self._replicate(node)
        named = self.nodes[self.selected]
        if named.is_alive and named.role == PRIMARY:
            named.has_clients = True

    def _replicate(self, node: Node) -> None:
        if node.link is not None:
            self._keep(node)
            return
        target = self.nodes[self.selected if node.upstream is None else node.upstream]
        if target is node or not target.is_alive or target.is_loading or self.is_cut(node.index, target.index):
            return
        if target.role == PRIMARY:
            node.link, node.down_since = target.index, None
            self._copy(node, target)

    def _keep(self, node: Node) -> None:
        assert node.link is not None
        target = self.nodes[node.link]
        if self.is_cut(node.index, target.index):
            if self.now - node.heard > TIMEOUT_TICKS:
                self.unlink(node)
        elif target.is_alive and target.role == PRIMARY and node.index in target.acked:
            self._copy(node, target)
        else:
            self.unlink(node)

    def _copy(self, node: Node, target: Node) -> None:
        node.log, node.offset = list(target.log), target.offset
        node.lineage, node.former = target.lineage, target.former
        node.heard = target.acked[node.index] = self.now

    # What clients see

    def good(self, node: Node) -> list[int]:
        return [index for index, at in node.acked.items() if self.now - at < FENCE_TICKS]

    def takes_writes(self, node: Node) -> bool:
        is_reached = node.has_clients or self.selected == node.index
        is_serving = node.is_alive and not node.is_loading and node.role == PRIMARY
        return is_serving and is_reached and len(self.good(node)) >= node.fence

    @property
    def is_well(self) -> bool:
        """Whether the named node takes writes, all others follow it, and none is about to end."""
        named = self.nodes[self.selected]
        is_any_ending = any(node.is_deleted for node in self.nodes)
        return not is_any_ending and self.takes_writes(named) and len(self.followers(named)) == len(self.nodes) - 1

    def followers(self, node: Node) -> list[Node]:
        """Replicas that really follow a node, whoever knows of it."""
        return [
            each
            for each in self.nodes
            if each.is_alive and each.link == node.index and not self.is_cut(each.index, node.index)
        ]

    def write(self, index: int, key: int, delivered: set[int]) -> None:
        """Acknowledge a write that gets to some replicas at once, and to others at the next tick."""
        node = self.nodes[index]
        node.log.append(key)
        node.offset += 1
        for replica in self.followers(node):
            if replica.index in delivered and replica.index in node.acked:
                self._copy(replica, node)

    # What the reconciler sees

    def member(self, index: int, silent_for: float, behind_for: float) -> Member:
        node = self.nodes[index]
        problem: Any = ""
        facts = None
        if self.is_cut(US, index):
            problem = "down" if self.cuts[frozenset({US, index})] else "unreachable"
        elif not node.is_alive:
            problem = "down"
        else:
            facts = self._facts(node)
        pod = {"metadata": {"name": f"cache-valkey-{index}-0"}}
        return Member(
            index, NodeReport(pod=pod, facts=facts, problem=problem), self.api_gone[index], silent_for, behind_for
        )

    def _facts(self, node: Node) -> NodeFacts:
        linked = node.link is not None and not node.is_loading
        silence = int((self.now - node.heard) * TICK_SECONDS) if linked else None
        down_for = None if node.down_since is None else int((self.now - node.down_since) * TICK_SECONDS)
        replication = Replication(
            lineage=node.lineage,
            former_lineage=node.former,
            offset=node.offset,
            upstream="" if node.role == PRIMARY else "somebody",
            is_linked=linked,
            silence=silence,
            down_for=down_for,
            keys=0 if node.is_loading else len(node.log),
        )
        return NodeFacts(node.role, "9.1.2", node.is_loading, replication=replication, fence=node.fence)
