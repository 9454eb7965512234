"""One pass for one storage: observe, plan, apply."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.plan import apart
from reconciler.controllers.log_levels import LogLevels
from reconciler.plan.creations import creations, without_creations
from reconciler.plan.decision_line import DecisionLine, described
from reconciler.plan.failed_pass import finding_of, status_after
from reconciler.plan.planner import plan
from reconciler.plan.secrets import delete_copies
from reconciler.state.session_storage import DeclaredStorage
from shared import errors
from shared.kubernetes.turns import urgently
from shared.process.log_scope import logged_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconciler.actions.plan import Plan
    from reconciler.apply.applier import Applier, Failures
    from reconciler.apply.status_writer import StatusWriter
    from reconciler.observe.observer import Observer
    from reconciler.observe.write_checks import WriteChecks
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
        write_checks: Takes in which storages are at rest.
        failures: How many passes in a row have failed, by storage.
        log_levels: How much is logged of each storage.
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
    write_checks: WriteChecks
    failures: Counter[Key] = field(default_factory=Counter)
    log_levels: LogLevels = field(default_factory=LogLevels)

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
        with logged_with({}, self.log_levels.level_of(storage, self.clock())):
            return await self._reconcile(storage, key)

    async def _reconcile(self, storage: Object, key: Key) -> float | None:
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
        started = time.monotonic()
        state, decided = await self._decide(storage, key)
        _log.debug("asked all instances", extra={"instances": list(map(described, state.instances))})
        if decided.is_changing and not self.slots.may_take(key):
            # Another storage took the slot while this pass looked around.
            state = replace(state, may_update=False)
            decided = without_creations(self._plan(state), state)
        self.slots.note(key, is_changing=decided.is_changing, progress=decided.progress)
        self.write_checks.note_look(key, state.primary if decided.is_at_rest else None)
        try:
            with urgently(when=decided.moves_primary):
                return await self._carry_out(storage, state, decided, started)
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
            _log.warning(
                "creating nothing, because the API server does not tell what exists", extra={"error": str(error)}
            )
            return state, without_creations(decided, state)
        if overlooked:
            state = self._remembered(await self.observer.observe(storage, overlooked), key)
            decided = self._plan(state)
        return state, decided

    async def _carry_out(self, storage: Object, state: StorageState, decided: Plan, started: float) -> float | None:
        key = state.storage.key
        if decided.steps and not await self.observer.is_current(storage):
            _log.debug("the storage has changed during the look, so nothing is done")
            return None
        told, outcome = decided, "failed"
        try:
            failures = await self.applier.carry_out(key, decided.strands)
            # What the API server refuses, the status is to tell at once, in the API server's words.
            if failures.refused:
                told = replace(self._plan(self._remembered(state, key)), strands=decided.strands)
            await self.status.tell(storage, told.status, told.events)
            outcome = _outcome(failures)
        finally:
            _note(DecisionLine.of(told, state.storage.status), outcome, time.monotonic() - started)
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
            _log.warning("could not write into a status why a pass failed", extra={"error": str(refused)})

    async def _forget(self, key: Key) -> None:
        self.failures.pop(key, None)
        self.slots.forget(key)
        self.memory.forget(key)
        self.observer.forget(key)
        self.applier.forget(key)
        self.metrics.forget(key)
        self.write_checks.forget(key)
        self.log_levels.forget(key)
        failures = await self.applier.carry_out(key, apart(delete_copies(self.observer.copies_of(key))))
        if failures.transient is not None:
            raise failures.transient


def _outcome(failures: Failures) -> str:
    """Tell in a word what became of a decision."""
    if failures.transient is not None:
        return "failed"
    return "refused" if failures.refused else "done"


def _note(line: DecisionLine, outcome: str, seconds: float) -> None:
    """Log a decision once it is carried out, or why it is not; a look that decided nothing only for who asks for that.

    Args:
        line: What was decided.
        outcome: What became of it.
        seconds: How long the whole pass took.
    """
    level = logging.INFO if line.is_worth_a_line else logging.DEBUG
    message = "reconciled a storage" if line.is_worth_a_line else "looked at a storage"
    _log.log(level, message, extra={**line.fields, "outcome": outcome, "seconds": round(seconds, 3)})
