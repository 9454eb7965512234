"""One pass for one storage: observe, plan, apply."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from reconciler.mirrors import removals
from reconciler.plan import FOR_THE_USER_SECONDS, Settings, plan
from reconciler.status import Verdict, status_of
from reconciler.steps import Plan
from shared import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconciler.apply import Applier
    from reconciler.observe import Observed, Observer
    from shared.informer import Informer
    from shared.resources import Key

_log = logging.getLogger(__name__)


class Reconciler:
    """Brings one storage a step closer to what its spec asks for, or finds that nothing is to do."""

    def __init__(
        self,
        storages: Informer,
        observer: Observer,
        applier: Applier,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        """Take what a pass needs.

        Args:
            storages: Every one.
            observer: Reads.
            applier: Writes.
            settings: Of the installation.
            clock: Tells the aware instant; the same for whoever leads next, who judges by it what was noted before.
        """
        self._storages = storages
        self._observer = observer
        self._applier = applier
        self._settings = settings
        self._clock = clock

    async def reconcile(self, key: Key) -> float | None:
        """Do one pass.

        Returns:
            Seconds after which to look again without an event, or None if the storage is gone.

        Raises:
            ClusterError: Something transient; to be tried again with a growing pause.
        """
        storage = self._storages.get(key)
        if storage is None:
            await self._applier.carry_out(tuple(removals(key, self._observer.mirrors_of(key))))
            return None
        observed = await self._observer.observe(storage)
        decided = plan(observed, self._settings, self._clock())
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
        status, events = status_of(observed, verdict, self._clock())
        await self._applier.apply(observed.storage, Plan(status=status, events=events))
        return FOR_THE_USER_SECONDS
