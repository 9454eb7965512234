"""Remembers when each node last showed that it lives, and each replica that it hears its primary. In memory; no I/O.

What a node says of itself now is not enough: a link that has been silent for a minute breaks as if that were new, and a
primary that we cannot reach may have been heard by a replica a moment ago.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.failover import decision
from reconciler.failover.members import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.state.instance import NodeReport
    from shared.objects.resources import Key


class Signs:
    """What was seen of the nodes of all storages, as long as this process leads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take a monotonic clock, in seconds."""
        self._clock = clock
        self._lived: dict[Key, dict[str, float]] = {}
        self._heard: dict[Key, dict[str, float]] = {}

    def take(self, storage: Key, primary: int | None, reports: Iterable[NodeReport]) -> tuple[NodeReport, ...]:
        """Take in what nodes show now, and add what was seen of them before.

        Args:
            storage: Whose nodes.
            primary: Number of the one that clients are sent to, if that is known.
            reports: Of all of them.
        """
        now, found = self._clock(), tuple(reports)
        lived, heard = self._of(self._lived, storage, found), self._of(self._heard, storage, found)
        members = [Member.of(node) for node in found]
        for member in members:
            silent_for = member.silent_for
            if member.index == primary:
                silent_for = decision.unheard_for(member.index, members)
            uid = _uid(member.report)
            lived[uid] = max(lived.get(uid, now - silent_for), now - silent_for)
            if member.hears:
                heard[uid] = now
        return tuple(
            replace(
                node,
                silent_for=0.0 if node.facts is not None else now - lived[_uid(node)],
                behind_for=now - heard.get(_uid(node), now),
            )
            for node in found
        )

    def forget(self, storage: Key) -> None:
        """Drop what was known of a storage that is gone."""
        self._lived.pop(storage, None)
        self._heard.pop(storage, None)

    @staticmethod
    def _of(memory: dict[Key, dict[str, float]], storage: Key, found: tuple[NodeReport, ...]) -> dict[str, float]:
        """Keep of the past what is about pods that there still are."""
        present = {_uid(node) for node in found}
        memory[storage] = {uid: at for uid, at in memory.get(storage, {}).items() if uid in present}
        return memory[storage]


def _uid(node: NodeReport) -> str:
    """Tell pods of one name apart; a node without a pod goes by its number."""
    return str(node.pod["metadata"]["uid"]) if node.pod is not None else str(node.index)
