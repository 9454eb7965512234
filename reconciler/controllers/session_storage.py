"""One pass for one storage: observe, plan, apply."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.actions.plan import Plan
from reconciler.plan.creations import creations, without_creations
from reconciler.plan.health import Verdict
from reconciler.plan.planner import FOR_THE_USER_SECONDS, plan
from reconciler.plan.secrets import delete_copies
from reconciler.plan.status import status_of
from shared import errors
from shared.kubernetes.turns import urgently

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconciler.apply.applier import Applier
    from reconciler.observe.observer import Observer
    from reconciler.plan.desired_objects import StorageSettings
    from reconciler.state.storage_state import StorageState
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key, Object

_log = logging.getLogger(__name__)


class UpdateSlots:
    """The slots for storages that the reconciler updates now: a faulty image must not reach all of them at once.

    Nothing is lost when the leader changes: the next one finds out again which storages are being changed.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken_by: set[Key] = set()

    def may_take(self, storage: Key) -> bool:
        """Tell whether a storage has a slot, or may take one."""
        return storage in self._taken_by or len(self._taken_by) < self._count

    def note(self, storage: Key, *, is_changing: bool) -> None:
        """Give a storage a slot while it changes, and free the slot afterwards."""
        (self._taken_by.add if is_changing else self._taken_by.discard)(storage)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Brings one storage a step closer to what its spec asks for, or finds that there is nothing to do.

    Attributes:
        storages: Every SessionStorage.
        clock: The API server's clock; the next leader compares the times that this one writes with the same clock.
    """

    storages: Informer
    observer: Observer
    applier: Applier
    settings: StorageSettings
    clock: Callable[[], datetime]
    slots: UpdateSlots

    async def reconcile(self, key: Key) -> float | None:
        """Do one pass.

        Returns:
            Seconds after which to look again without an event, or None if the storage is gone.

        Raises:
            ClusterError: A transient error; the caller tries again after a growing pause.
        """
        storage = self.storages.get(key)
        if storage is None:
            self.slots.note(key, is_changing=False)
            self.observer.forget(key)
            self.applier.forget(key)
            for step in delete_copies(self.observer.copies_of(key)):
                await self.applier.carry_out(step)
            return None
        state, decided = await self._decide(storage)
        self.slots.note(key, is_changing=decided.is_changing)
        with urgently(when=decided.moves_primary):
            return await self._carry_out(storage, state, decided)

    async def _decide(self, storage: Object) -> tuple[StorageState, Plan]:
        """Plan, and look first whether there is something of the name of what the plan creates."""
        state = await self.observer.observe(storage)
        decided = plan(state, self.settings, self.clock())
        if not (created := creations(decided, state)):
            return state, decided
        if decided.moves_primary:
            return state, without_creations(decided, state)  # nothing else is as urgent
        try:
            overlooked = await self.observer.overlooked(state, created)
        except errors.ClusterError as error:
            # What creates nothing goes on, a failover above all.
            extra = {"storage": "/".join(state.storage.key), "error": str(error)}
            _log.warning("creating nothing, because the API server does not tell what exists", extra=extra)
            return state, without_creations(decided, state)
        if overlooked:
            state = await self.observer.observe(storage, overlooked)
            decided = plan(state, self.settings, self.clock())
        return state, decided

    async def _carry_out(self, storage: Object, state: StorageState, decided: Plan) -> float | None:
        if decided.steps:
            if not await self.observer.is_current(storage):
                return None
            extra = {"storage": "/".join(state.storage.key), "steps": list(map(str, decided.steps))}
            _log.info("changing a storage", extra=extra)
        try:
            await self.applier.apply(storage, decided)
        except (errors.Rejected, errors.Forbidden) as error:
            extra = {"storage": "/".join(state.storage.key), "error": str(error)}
            _log.warning("the API server refused a change of a storage", extra=extra)
            status, events = status_of(state, Verdict.refused(str(error)), self.clock())
            await self.applier.apply(storage, Plan(status=status, events=events))
            return FOR_THE_USER_SECONDS
        return decided.requeue_after_seconds
