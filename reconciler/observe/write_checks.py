"""Checks every few seconds whether the primary of each storage at rest still takes writes.

Looks at a storage at rest come rarely, and the heartbeat does not log in: Valkey answers it alike while its disk fails,
or while the primary lacks the replicas that it needs to take writes. So this asks over the session that a look has left
open. It changes nothing: a primary that refuses writes only has the next look come at once.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from shared import errors, names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.state.instance import Instance
    from shared.objects.resources import Key

TakesWrites: TypeAlias = "Callable[[str, int, int], Awaitable[bool | None]]"
"""Asks the instance at a host and port whether it takes writes while so many replicas have to follow it closely; None
if it cannot be asked now."""
PERIOD_SECONDS: Final = 4.0
"""How often each primary is asked. Clients' writes fail until then, and until another instance has taken over, which
takes a replica in sync less than a second."""
TURNS: Final = 8
"""Into how many turns a period is divided: to ask many together costs less, but holds everything else up for longer."""

_log = logging.getLogger(__name__)


class _Primary(NamedTuple):
    """The primary of a storage at rest: where it is, and how many replicas it needs to take writes."""

    host: str
    fence: int


class WriteChecks:
    """Knows which storages are at rest, and reports each whose primary refuses writes: once, until its next look."""

    def __init__(self, takes_writes: TakesWrites, on_refusal: Callable[[Key], None]) -> None:
        """Take whom to ask, and a callback that gets the (namespace, name) of a storage."""
        self._takes_writes = takes_writes
        self._on_refusal = on_refusal
        self._turns: tuple[dict[Key, _Primary], ...] = tuple({} for _ in range(TURNS))

    def __len__(self) -> int:
        return sum(map(len, self._turns))

    def note_look(self, storage: Key, primary: Instance | None) -> None:
        """Take in what a look found.

        Args:
            storage: Its (namespace, name).
            primary: Its primary; None if the storage is not at rest: the next look comes soon then.
        """
        if primary is not None and primary.facts is not None:
            self._turn_of(storage)[storage] = _Primary(primary.address, primary.facts.fence)
        else:
            self.forget(storage)

    def forget(self, storage: Key) -> None:
        """Drop a storage that is gone."""
        self._turn_of(storage).pop(storage, None)

    async def run(self) -> None:
        """Ask until cancelled; a primary that takes its time holds up no other."""
        async with asyncio.TaskGroup() as group:
            for turn in itertools.cycle(self._turns):
                for storage, primary in turn.items():
                    group.create_task(self._check(storage, primary))
                await asyncio.sleep(PERIOD_SECONDS / TURNS)

    async def _check(self, storage: Key, primary: _Primary) -> None:
        try:
            takes_writes = await self._takes_writes(primary.host, names.VALKEY_PORT, primary.fence)
        except errors.SessionStoreError as error:
            # Silence and death are the heartbeat's, and a rotation closes sessions.
            extra = {"storage": "/".join(storage), "error": str(error)}
            _log.debug("could not ask a primary whether it takes writes", extra=extra)
            return
        # A look may have found something else meanwhile.
        if takes_writes is False and self._turn_of(storage).get(storage) == primary:
            self.forget(storage)
            _log.info("a primary refuses writes; looking at its storage", extra={"storage": "/".join(storage)})
            self._on_refusal(storage)

    def _turn_of(self, storage: Key) -> dict[Key, _Primary]:
        """Return the primaries that are asked in the same turn as that of a storage, whose turn is always the same."""
        return self._turns[hash(storage) % TURNS]
