"""One pass for one storage: observe, plan, apply."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.plan import apart
from reconciler.plan.failed_pass import finding_of, status_after
from reconciler.plan.planner import plan
from reconciler.plan.secrets import delete_copies
from reconciler.state.session_storage import DeclaredStorage
from shared import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconciler.actions.plan import Plan
    from reconciler.apply.applier import Applier
    from reconciler.apply.status_writer import StatusWriter
    from reconciler.observe.observer import Observer
    from reconciler.plan.desired_objects import StorageSettings
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
            raise
        self.failures.pop(key, None)
        return pause

    async def _pass(self, storage: Object, key: Key) -> float | None:
        state = replace(
            await self.observer.observe(storage),
            outcomes=self.memory.of(key),
            gave_slot_back=self.slots.gave_back(key),
        )
        decided = self._decide(state)
        self.slots.note(key, is_changing=decided.is_changing, progress=decided.progress)
        if decided.steps:
            if not await self.observer.is_current(storage):
                return None
            extra = {"storage": "/".join(key), "steps": list(map(str, decided.steps))}
            _log.info("changing a storage", extra=extra)
        failures = await self.applier.carry_out(key, decided.strands)
        # What the API server refuses, the status is to tell at once, in the API server's words.
        told = self._decide(replace(state, outcomes=self.memory.of(key))) if failures.refused else decided
        await self.status.tell(storage, told.status, told.events)
        if failures.transient is not None:
            raise failures.transient
        return decided.requeue_after_seconds

    def _decide(self, state: StorageState) -> Plan:
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
        failures = await self.applier.carry_out(key, apart(delete_copies(self.observer.copies_of(key))))
        if failures.transient is not None:
            raise failures.transient
