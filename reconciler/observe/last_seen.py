"""Remembers when each instance last answered, and when each replica last heard its primary. In memory; no I/O.

What an instance says of itself now is not enough: a link that has been silent for a minute breaks as if that were new,
and a primary that we cannot reach may have been heard by a replica a moment ago.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.failover import decision
from reconciler.failover.members import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.state.instance import Instance
    from shared.objects.resources import Key


class Signs:
    """What was seen of the instances of all storages, as long as this process leads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take a monotonic clock, in seconds."""
        self._clock = clock
        self._lived: dict[Key, dict[str, float]] = {}
        self._heard: dict[Key, dict[str, float]] = {}

    def take(self, storage: Key, primary: int | None, reports: Iterable[Instance]) -> tuple[Instance, ...]:
        """Take in what instances show now, and add what was seen of them before.

        Args:
            storage: Whose instances.
            primary: Number of the one that clients are sent to, if that is known.
            reports: Of all of them.
        """
        now, found = self._clock(), tuple(reports)
        lived, heard = self._of(self._lived, storage, found), self._of(self._heard, storage, found)
        members = [Member.of(instance) for instance in found]
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
                instance,
                silent_for=0.0 if instance.facts is not None else now - lived[_uid(instance)],
                behind_for=now - heard.get(_uid(instance), now),
            )
            for instance in found
        )

    def forget(self, storage: Key) -> None:
        """Drop what was known of a storage that is gone."""
        self._lived.pop(storage, None)
        self._heard.pop(storage, None)

    @staticmethod
    def _of(memory: dict[Key, dict[str, float]], storage: Key, found: tuple[Instance, ...]) -> dict[str, float]:
        """Keep of the past what is about pods that there still are."""
        present = {_uid(instance) for instance in found}
        memory[storage] = {uid: at for uid, at in memory.get(storage, {}).items() if uid in present}
        return memory[storage]


def _uid(instance: Instance) -> str:
    """Tell pods of one name apart; an instance without a pod goes by its number."""
    return str(instance.pod["metadata"]["uid"]) if instance.pod is not None else str(instance.index)
