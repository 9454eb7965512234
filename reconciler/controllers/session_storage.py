"""One pass for one storage: observe, plan, apply."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from reconciler.actions.plan import Plan
from reconciler.plan.health import Verdict
from reconciler.plan.mirrors import removals
from reconciler.plan.planner import FOR_THE_USER_SECONDS, plan
from reconciler.plan.status import status_of
from shared import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconciler.apply.applier import Applier
    from reconciler.controllers.update_slots import UpdateSlots
    from reconciler.observe.observer import Observer
    from reconciler.plan.settings import Settings
    from reconciler.state.storage_state import Observed
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key

_log = logging.getLogger(__name__)


class Planner:
    """Decides what to do now, and keeps too many storages from changing at once."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime], slots: UpdateSlots) -> None:
        """Take what decisions depend on besides what is observed.

        Args:
            settings: Of the installation.
            clock: Tells the aware instant; the same for whoever leads next, who judges by it what was noted before.
            slots: Limits how many storages are updated at once.
        """
        self._settings = settings
        self._clock = clock
        self._slots = slots

    def decide(self, key: Key, observed: Observed) -> Plan:
        """Decide what to do about a storage."""
        decided = plan(observed, self._settings, self._clock())
        self._slots.record(key, is_updating=decided.is_changing)
        return decided

    def report(self, observed: Observed, verdict: Verdict) -> Plan:
        """Only tell of a storage."""
        status, events = status_of(observed, verdict, self._clock())
        return Plan(status=status, events=events)

    def forget(self, key: Key) -> None:
        """Free the slot of a storage that is gone."""
        self._slots.record(key, is_updating=False)


class Reconciler:
    """Brings one storage a step closer to what its spec asks for, or finds that nothing is to do."""

    def __init__(self, storages: Informer, observer: Observer, applier: Applier, planner: Planner) -> None:
        """Take what a pass needs.

        Args:
            storages: Every one.
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
            ClusterError: Something transient; to be tried again with a growing pause.
        """
        storage = self._storages.get(key)
        if storage is None:
            self._planner.forget(key)
            self._observer.forget(key)
            await self._applier.carry_out(tuple(removals(key, self._observer.mirrors_of(key))))
            return None
        observed = await self._observer.observe(storage)
        decided = self._planner.decide(key, observed)
        if decided.steps:
            if not await self._observer.is_current(storage):
                return None
            _log.info("applying", extra={"storage": "/".join(key), "steps": [repr(step) for step in decided.steps]})
        try:
            await self._applier.apply(storage, decided)
        except (errors.Rejected, errors.Forbidden) as error:
            _log.warning("refused by the API server", extra={"storage": "/".join(key), "error": str(error)})
            return await self._report(observed, Verdict.refused(str(error)))
        return decided.requeue_after_seconds

    async def _report(self, observed: Observed, verdict: Verdict) -> float:
        await self._applier.apply(observed.storage, self._planner.report(observed, verdict))
        return FOR_THE_USER_SECONDS
