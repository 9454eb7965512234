"""Remembers of each instance when it last answered, was unwell, and heard its primary, and since when a script runs.

In memory; no I/O.

What an instance says now is not enough: it counts from the break of its link, which may have been silent for a minute
by then, and a replica may have heard a primary a moment ago that the reconciler cannot reach.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.failover.replication_group import primary_silent_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.state.instance import Instance
    from shared.objects.resources import Key

UNSTEADY_SECONDS: Final = 60.0
"""How long an instance counts as unsteady after its heartbeat was late, or the reconciler could not use it."""


class LastSeen:
    """Keeps when the instances of all storages answered and heard their primary, as long as this process leads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take a monotonic clock, in seconds."""
        self._clock = clock
        self._answered: dict[Key, dict[str, float]] = {}
        self._heard_primary: dict[Key, dict[str, float]] = {}
        self._busy_since: dict[Key, dict[str, float]] = {}
        self._unsteady_at: dict[Key, dict[str, float]] = {}
        self._endless: set[str] = set()

    def update(self, storage: Key, primary: int | None, instances: Iterable[Instance]) -> tuple[Instance, ...]:
        """Take in what all instances of a storage show now, and add for how long each has been silent.

        `primary` is the number of the instance that the Service sends clients to; None if it names none.
        """
        now, seen = self._clock(), tuple(instances)
        answered = self._of(self._answered, storage, seen)
        heard_primary = self._of(self._heard_primary, storage, seen)
        busy_since = self._of(self._busy_since, storage, [each for each in seen if each.problem == "busy"])
        unsteady_at = self._of(self._unsteady_at, storage, seen)
        self._endless.difference_update(_uid(each) for each in seen if each.problem != "busy")
        for instance in seen:
            silent_for, uid = instance.silent_for, _uid(instance)
            if instance.index == primary:
                silent_for = primary_silent_for(instance, [other for other in seen if other is not instance])
            answered[uid] = max(answered.get(uid, now - silent_for), now - silent_for)
            if instance.hears_primary:
                heard_primary[uid] = now
            if instance.is_unsteady or instance.problem or not instance.responds:
                unsteady_at[uid] = now
            if instance.problem == "busy":
                busy_since.setdefault(uid, now)
        return tuple(
            replace(
                instance,
                silent_for=0.0 if instance.responds else now - answered[_uid(instance)],
                not_hearing_for=now - heard_primary.get(_uid(instance), now),
                busy_for=now - busy_since.get(_uid(instance), now),
                has_endless_script=_uid(instance) in self._endless,
                is_unsteady=now - unsteady_at.get(_uid(instance), -math.inf) < UNSTEADY_SECONDS,
            )
            for instance in seen
        )

    def note_endless_script(self, instance: Instance) -> None:
        """Note that Valkey refused to end the script that keeps an instance busy; this holds until it ends."""
        if instance.pod is not None:  # one without a pod ends soon, and a number would stand for other storages' too
            self._endless.add(_uid(instance))

    def forget(self, storage: Key) -> None:
        """Drop what this keeps of a storage that is gone."""
        for memory in (self._answered, self._heard_primary, self._busy_since, self._unsteady_at):
            memory.pop(storage, None)

    @staticmethod
    def _of(memory: dict[Key, dict[str, float]], storage: Key, seen: Iterable[Instance]) -> dict[str, float]:
        """Keep only the times of pods that still exist, and return them."""
        present = {_uid(instance) for instance in seen}
        memory[storage] = {uid: at for uid, at in memory.get(storage, {}).items() if uid in present}
        return memory[storage]


def _uid(instance: Instance) -> str:
    """Tell pods of one name apart; an instance without a pod goes by its number."""
    return str(instance.pod["metadata"]["uid"]) if instance.pod is not None else str(instance.index)
