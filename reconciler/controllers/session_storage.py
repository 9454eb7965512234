"""One pass for one storage: observe, plan, apply."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from reconciler.actions.descriptions import describe
from reconciler.actions.plan import Plan
from reconciler.plan.connection_secret import delete_copies
from reconciler.plan.health import Verdict
from reconciler.plan.planner import FOR_THE_USER_SECONDS, plan
from reconciler.plan.status import status_of
from shared import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconciler.apply.applier import Applier
    from reconciler.controllers.update_slots import UpdateSlots
    from reconciler.observe.observer import Observer
    from reconciler.plan.settings import StorageSettings
    from reconciler.state.storage_state import StorageState
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key, Object

_log = logging.getLogger(__name__)


class Planner:
    """Decides what to do now, and keeps too many storages from being updated at once."""

    def __init__(self, settings: StorageSettings, clock: Callable[[], datetime], slots: UpdateSlots) -> None:
        """Remember what decisions depend on besides the observed state.

        Args:
            settings: Of the installation.
            clock: Tells the aware instant; the same for whoever leads next and compares it with the times written now.
            slots: For storages that are updated.
        """
        self._settings = settings
        self._clock = clock
        self._slots = slots

    def decide(self, state: StorageState) -> Plan:
        """Decide what to do about a storage."""
        decided = plan(state, self._settings, self._clock())
        self._slots.note(state.storage.key, is_changing=decided.is_changing)
        return decided

    def report(self, state: StorageState, verdict: Verdict) -> Plan:
        """Write nothing but the status of a storage, and Events."""
        status, events = status_of(state, verdict, self._clock())
        return Plan(status=status, events=events)

    def forget(self, key: Key) -> None:
        """Free the slot of a storage that is gone."""
        self._slots.note(key, is_changing=False)


class Reconciler:
    """Brings one storage a step closer to what its spec asks for, or finds that there is nothing to do."""

    def __init__(self, storages: Informer, observer: Observer, applier: Applier, planner: Planner) -> None:
        """Remember what a pass needs.

        Args:
            storages: Every SessionStorage.
            observer: Reads.
            applier: Writes.
            planner: Decides.
        """
        self._storages = storages
        self._observer = observer
        self._applier = applier
        self._planner = planner

    async def reconcile(self, key: Key) -> float | None:
        """Do one pass.

        Returns:
            Seconds after which to look again without an event, or None if the storage is gone.

        Raises:
            ClusterError: Something transient; the caller tries again after a growing pause.
        """
        storage = self._storages.get(key)
        if storage is None:
            self._planner.forget(key)
            self._observer.forget(key)
            await self._applier.carry_out(tuple(delete_copies(self._observer.copies_of(key))))
            return None
        state = await self._observer.observe(storage)
        decided = self._planner.decide(state)
        if decided.steps:
            if not await self._observer.is_current(storage):
                return None
            steps = [describe(step) for step in decided.steps]
            _log.info("changing a storage", extra={"storage": "/".join(key), "steps": steps})
        try:
            await self._applier.apply(storage, decided)
        except (errors.Rejected, errors.Forbidden) as error:
            _log.warning(
                "the API server refused a change of a storage", extra={"storage": "/".join(key), "error": str(error)}
            )
            return await self._report(storage, state, Verdict.refused(str(error)))
        return decided.requeue_after_seconds

    async def _report(self, storage: Object, state: StorageState, verdict: Verdict) -> float:
        await self._applier.apply(storage, self._planner.report(state, verdict))
        return FOR_THE_USER_SECONDS
