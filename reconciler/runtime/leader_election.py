"""Leader election by Lease (coordination.k8s.io): who holds it writes, everybody else stays warm.

A lease is no fence: a leader that was frozen may wake up and finish a write that it had begun. So every write is
safe to repeat or carries a precondition, and a leader that cannot renew stops its work before others may start.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from reconciler.runtime import metrics
from shared import errors
from shared.objects.resources import LEASES, Object, Resource
from shared.objects.timestamps import written_precisely

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LEASE_SECONDS: Final = 15
RENEW_DEADLINE_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 2.0
"""The three figures are client-go's defaults."""

_log = logging.getLogger(__name__)


class LeaseClient(Protocol):
    """The calls on a Lease."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read it, or raise NotFound."""

    async def create(self, resource: Resource, obj: Object) -> Object:
        """Create it, or raise AlreadyExists."""

    async def replace(self, resource: Resource, obj: Object) -> Object:
        """Replace it by resourceVersion, or raise Conflict."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who stands for election, and for which Lease."""

    namespace: str
    lease: str
    identity: str


@dataclass(slots=True)
class _Sighting:
    """A holder's sign of life, timed by our own clock: others' clocks may be wrong."""

    record: tuple[str, str] = ("", "")
    seen: float = 0.0


class Election:
    """Waits for the lease, keeps it, and gives it back."""

    def __init__(self, cluster: LeaseClient, candidate: Candidate) -> None:
        self._cluster = cluster
        self._candidate = candidate
        self._sighting = _Sighting()
        self._is_held_by_another = False

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` as the leader; returns when the lease is lost or `work` ends, which has then been stopped."""
        acquired = await self._acquire()
        _log.info("leading", extra={"identity": self._candidate.identity})
        metrics.IS_LEADER.set(1)
        working = asyncio.ensure_future(work())
        keeping = asyncio.ensure_future(self._keep(acquired))
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            metrics.IS_LEADER.set(0)
            await _stopped(working)
            await _stopped(keeping)
            await self._release()
            # Also if we are stopped ourselves: what went wrong in the work would otherwise be told to nobody.
            for task in (working, keeping):
                if not task.cancelled():
                    task.result()

    async def _acquire(self) -> float:
        """Wait for the lease; returns when it was asked for, because others may count from before the answer."""
        while True:
            attempt = time.monotonic()
            if await self._try():
                return attempt
            await asyncio.sleep(RETRY_SECONDS)

    async def _keep(self, renewed: float) -> None:
        while time.monotonic() - renewed < RENEW_DEADLINE_SECONDS:
            await asyncio.sleep(RETRY_SECONDS)
            attempt = time.monotonic()
            try:
                async with asyncio.timeout(RENEW_DEADLINE_SECONDS - (attempt - renewed)):
                    if await self._try():
                        renewed = attempt
                    elif self._is_held_by_another:
                        break
            except TimeoutError:
                break
        _log.error("lease lost", extra={"identity": self._candidate.identity})

    async def _try(self) -> bool:
        """Take or renew the lease; False if somebody else holds it or the API server could not be asked."""
        candidate = self._candidate
        try:
            lease = await self._cluster.get(LEASES, candidate.namespace, candidate.lease)
        except errors.NotFound:
            return await self._write(self._cluster.create, self._lease({}))
        except errors.ClusterError as error:
            _log.warning("lease not read", extra={"error": str(error)})
            return False
        spec = lease.get("spec", {})
        is_held = spec.get("holderIdentity") not in {candidate.identity, "", None}
        self._is_held_by_another = is_held and not self._is_expired(spec)
        if self._is_held_by_another:
            return False
        return await self._write(self._cluster.replace, self._lease(lease))

    async def _write(self, write: Callable[[Resource, Object], Awaitable[Object]], lease: Object) -> bool:
        try:
            await write(LEASES, lease)
        except errors.ClusterError as error:
            _log.warning("lease not written", extra={"error": str(error)})
            return False
        return True

    async def _release(self) -> None:
        candidate = self._candidate
        try:
            lease = await self._cluster.get(LEASES, candidate.namespace, candidate.lease)
            if lease.get("spec", {}).get("holderIdentity") == candidate.identity:
                await self._cluster.replace(LEASES, lease | {"spec": lease["spec"] | {"holderIdentity": ""}})
        except errors.ClusterError as error:
            _log.warning("lease not released: others must wait it out", extra={"error": str(error)})

    def _is_expired(self, spec: Object) -> bool:
        record = (spec.get("holderIdentity", ""), spec.get("renewTime", ""))
        if record != self._sighting.record:
            self._sighting = _Sighting(record, time.monotonic())
        duration = float(spec.get("leaseDurationSeconds") or LEASE_SECONDS)
        return time.monotonic() - self._sighting.seen > duration

    def _lease(self, old: Object) -> Object:
        now = written_precisely(datetime.now(UTC))
        spec = old.get("spec", {})
        is_ours = spec.get("holderIdentity") == self._candidate.identity
        return {
            "metadata": old.get("metadata") or {"namespace": self._candidate.namespace, "name": self._candidate.lease},
            "spec": {
                "holderIdentity": self._candidate.identity,
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": spec.get("acquireTime", now) if is_ours else now,
                "renewTime": now,
                "leaseTransitions": spec.get("leaseTransitions", 0) + (0 if is_ours else 1),
            },
        }


async def _stopped(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
