"""Takes in what is found out about storages, and keeps it as lines for Prometheus. In memory; no I/O."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from reconciler.credentials import identities
from reconciler.failover.candidates import LOST, RETURNED
from reconciler.failover.decision import BY_HAND, SCRIPT_RUNS
from reconciler.metrics.exposition import Exposition
from reconciler.metrics.primary_answers import PERIOD_SECONDS, PrimaryAnswers
from reconciler.metrics.primary_changes import PrimaryChanges
from reconciler.metrics.storage_lines import Look, condition_lines, look_lines, session_lines, unseen_lines
from reconciler.plan.change import PLANNED
from reconciler.plan.health import was_ready
from reconciler.rotation.overdue import oldest_password_made
from reconciler.state.session_storage import DeclaredStorage
from shared import names
from shared.session_storage.status import SessionStorageStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from reconciler.credentials.login import Login
    from reconciler.state.storage_state import StorageState
    from shared.consumers.identity import Usage
    from shared.objects.resources import Key, Object

REASONS: Final = {
    **dict.fromkeys(sorted(PLANNED), True),
    **dict.fromkeys((LOST, RETURNED, SCRIPT_RUNS, BY_HAND), False),
}
"""Why clients are sent to another instance, each reason with whether such a change is planned."""
PLACE_SECONDS: Final = 60.0
"""How old a look may be for its address to be asked: that may be another pod's by now, and would get a password."""
_LOOK: Final = "look"
_CONDITIONS: Final = "conditions"
_SESSIONS: Final = "sessions"


class _Place(NamedTuple):
    """Where the sessions of a storage can be counted, and how much memory its primary uses."""

    host: str
    login: Login
    used_memory: int | None
    seen_at: float


class StorageMetrics:
    """The metrics of all storages, as long as this process leads.

    Attributes:
        exposition: Their lines.
    """

    def __init__(
        self, answers: PrimaryAnswers, usages: Callable[[Key], tuple[Usage, ...]], clock: Callable[[], datetime]
    ) -> None:
        """Take among others what lists the consumers that refer to a storage, and the API server's clock."""
        self.exposition = Exposition()
        self._answers = answers
        self._changes = PrimaryChanges(REASONS)
        self._places: dict[Key, _Place | None] = {}
        self._uids: dict[Key, str] = {}
        self._usages = usages
        self._clock = clock

    async def run(self) -> None:
        """Count the seconds in which a primary did not answer, until cancelled."""
        monotonic = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            self._answers.count_silence(monotonic())

    def note_look(self, state: StorageState, new_status: Object | None) -> None:
        """Take in what a look found, and the status that was decided; None if the present one still holds."""
        key, service = state.storage.key, state.primary_service
        self._begin_anew_if_other(state.storage)
        status = state.storage.status
        if new_status is not None:
            status = SessionStorageStatus.model_validate(new_status)
        look = Look(state, status, self._usages(key), oldest_password_made(state), self._clock())
        now = asyncio.get_running_loop().time()
        if service is not None:
            self._changes.note(key, service.last_change)
            if service.primary is not None:
                self._answers.note_primary(key, service.primary, now, has_served=was_ready(state.storage))
        self.exposition.publish(key, _LOOK, look_lines(look, self._changes, self._answers))
        self.exposition.publish(key, _CONDITIONS, condition_lines(key, status.conditions))
        self._places[key] = _place(state, now)

    def note_failure(self, storage: Object) -> None:
        """Take in a storage whose pass failed: its conditions say so, and how old is what was seen last."""
        declared = DeclaredStorage.of(storage)
        self._begin_anew_if_other(declared)
        if not self.exposition.has(declared.key):
            self.exposition.publish(declared.key, _LOOK, unseen_lines(declared.key, self._clock()))
        lines = condition_lines(declared.key, declared.status.conditions)
        self.exposition.publish(declared.key, _CONDITIONS, lines)

    def _begin_anew_if_other(self, storage: DeclaredStorage) -> None:
        """Forget a former storage of the same name: no pass need have seen that it was gone."""
        if self._uids.setdefault(storage.key, storage.uid) != storage.uid:
            self.forget(storage.key)
            self._uids[storage.key] = storage.uid

    def forget(self, storage: Key) -> None:
        """Drop a storage that is gone; its series end with the next scrape."""
        self.exposition.withdraw(storage)
        self._answers.forget(storage)
        self._changes.forget(storage)
        self._places.pop(storage, None)
        self._uids.pop(storage, None)

    def countable(self) -> Collection[Key]:
        """List the storages whose sessions can be counted now."""
        return [key for key in self._places if self.counts_at(key) is not None]

    def counts_at(self, storage: Key) -> tuple[str, int, Login] | None:
        """Tell host, port and login of the instance to ask; None if none can be asked now."""
        place = self._places.get(storage)
        if place is None or asyncio.get_running_loop().time() - place.seen_at > PLACE_SECONDS:
            return None
        return place.host, names.VALKEY_PORT, place.login

    def note_sessions(self, storage: Key, sessions: Mapping[tuple[str, str], int]) -> None:
        """Take how many sessions each consumer has, unless the storage has gone meanwhile."""
        if (place := self._places.get(storage)) is not None:
            lines = session_lines(storage, sessions, place.used_memory, self._clock())
            self.exposition.publish(storage, _SESSIONS, lines)


def _place(state: StorageState, now: float) -> _Place | None:
    """Choose the instance to count at: a replica that hears the primary, so that clients wait for nothing.

    Returns:
        None if there is no primary, or neither a replica nor the primary can be asked.
    """
    if (primary := state.primary) is None:
        return None
    lineage = primary.replication.lineage
    replicas = (
        each
        for each in state.instances
        if each is not primary and each.hears_primary and not each.problem and each.replication.lineage == lineage
    )
    asked = next(replicas, primary if primary.is_loaded and not primary.problem else None)
    if asked is None:
        return None
    used = primary.facts.statistics.used_memory if primary.facts is not None else None
    return _Place(asked.address, state.key_ring.login(identities.CONSUMER), used, now)
