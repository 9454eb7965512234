"""One pass for one storage: observe, plan, apply."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.plan import apart
from reconciler.plan.creations import creations, without_creations
from reconciler.plan.failed_pass import finding_of, status_after
from reconciler.plan.planner import plan
from reconciler.plan.secrets import delete_copies
from reconciler.state.session_storage import DeclaredStorage
from shared import errors
from shared.kubernetes.turns import urgently

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconciler.actions.plan import Plan
    from reconciler.apply.applier import Applier
    from reconciler.apply.status_writer import StatusWriter
    from reconciler.observe.observer import Observer
    from reconciler.plan.desired_objects import StorageSettings
    from reconciler.runtime.storage_metrics import StorageMetrics
    from reconciler.runtime.update_slots import UpdateSlots
    from reconciler.runtime.write_memory import WriteMemory
    from reconciler.state.storage_state import StorageState
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key, Object

TOLD_AFTER: Final = 6
"""So many passes in a row may fail by an error that passes by itself, such as a lost connection, before the status
tells: with growing pauses that takes about 6 s."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Brings one storage a step closer to what its spec asks for, or finds that there is nothing to do.

    Attributes:
        storages: Every SessionStorage.
        clock: The API server's clock; the next leader compares the times that this one writes with the same clock.
        memory: What became of the writes that the applier makes.
        metrics: Takes in what each pass finds out.
        failures: How many passes in a row have failed, by storage.
    """

    storages: Informer
    observer: Observer
    applier: Applier
    status: StatusWriter
    settings: StorageSettings
    clock: Callable[[], datetime]
    slots: UpdateSlots
    memory: WriteMemory
    metrics: StorageMetrics
    failures: Counter[Key] = field(default_factory=Counter)

    async def reconcile(self, key: Key) -> float | None:
        """Do one pass; if it fails, say so in the storage's status.

        Returns:
            Seconds after which to look again without an event, or None if the storage is gone.

        Raises:
            Exception: The pass failed; the caller tries again after a growing pause.
        """
        storage = self.storages.get(key)
        if storage is None:
            await self._forget(key)
            return None
        try:
            pause = await self._pass(storage, key)
        except Exception as error:
            self.failures[key] += 1
            if not isinstance(error, errors.SessionStorageError) or self.failures[key] >= TOLD_AFTER:
                await self._tell(storage, key, error)
            self.metrics.note_failure(self.storages.get(key) or storage)
            raise
        self.failures.pop(key, None)
        return pause

    async def _pass(self, storage: Object, key: Key) -> float | None:
        state, decided = await self._decide(storage, key)
        if decided.is_changing and not self.slots.may_take(key):
            # Another storage took the slot while this pass looked around.
            state = replace(state, may_update=False)
            decided = without_creations(self._plan(state), state)
        self.slots.note(key, is_changing=decided.is_changing, progress=decided.progress)
        try:
            with urgently(when=decided.moves_primary):
                return await self._carry_out(storage, state, decided)
        finally:
            # After the rest: a failover does not wait for it.
            self.metrics.note_look(state, decided.status)

    async def _decide(self, storage: Object, key: Key) -> tuple[StorageState, Plan]:
        """Plan, and look first whether there is something of the name of what the plan creates."""
        state = self._remembered(await self.observer.observe(storage), key)
        decided = self._plan(state)
        if not (created := creations(decided, state)):
            return state, decided
        if decided.moves_primary:
            return state, without_creations(decided, state)  # nothing else is as urgent
        try:
            overlooked = await self.observer.overlooked(state, created)
        except errors.ClusterError as error:
            # What creates nothing goes on, a failover above all.
            extra = {"storage": "/".join(key), "error": str(error)}
            _log.warning("creating nothing, because the API server does not tell what exists", extra=extra)
            return state, without_creations(decided, state)
        if overlooked:
            state = self._remembered(await self.observer.observe(storage, overlooked), key)
            decided = self._plan(state)
        return state, decided

    async def _carry_out(self, storage: Object, state: StorageState, decided: Plan) -> float | None:
        key = state.storage.key
        if decided.steps:
            if not await self.observer.is_current(storage):
                return None
            extra = {"storage": "/".join(key), "steps": list(map(str, decided.steps))}
            _log.info("changing a storage", extra=extra)
        failures = await self.applier.carry_out(key, decided.strands)
        # What the API server refuses, the status is to tell at once, in the API server's words.
        told = self._plan(self._remembered(state, key)) if failures.refused else decided
        await self.status.tell(storage, told.status, told.events)
        if failures.transient is not None:
            raise failures.transient
        return decided.requeue_after_seconds

    def _remembered(self, state: StorageState, key: Key) -> StorageState:
        """Add what this process remembers of a storage."""
        return replace(
            state,
            outcomes=self.memory.of(key),
            gave_slot_back=self.slots.gave_back(key),
            is_failing=self.failures[key] > 0,
        )

    def _plan(self, state: StorageState) -> Plan:
        return plan(state, self.settings, self.clock())

    async def _tell(self, storage: Object, key: Key, error: Exception) -> None:
        """Write into the status why a pass failed; if even that fails, the log is left."""
        finding = finding_of(error, self.observer.passwords_of(key))
        try:
            status, events = status_after(DeclaredStorage.of(storage), finding, self.clock())
            await self.status.tell(storage, status, events)
        except errors.ClusterError as refused:
            extra = {"storage": "/".join(key), "error": str(refused)}
            _log.warning("could not write into a status why a pass failed", extra=extra)

    async def _forget(self, key: Key) -> None:
        self.failures.pop(key, None)
        self.slots.forget(key)
        self.memory.forget(key)
        self.observer.forget(key)
        self.applier.forget(key)
        self.metrics.forget(key)
        failures = await self.applier.carry_out(key, apart(delete_copies(self.observer.copies_of(key))))
        if failures.transient is not None:
            raise failures.transient
