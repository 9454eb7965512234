"""Leader election by Lease (coordination.k8s.io): the leader writes, the other replicas only keep their caches.

A Lease is no fence: a leader that was frozen may wake up and finish a write. So every write is safe to repeat or
carries a precondition, and a leader that cannot renew its Lease stops before another replica may start.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.runtime import metrics
from shared import errors
from shared.objects.resources import LEASES, Object, Resource
from shared.objects.timestamps import written_precisely

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.kubernetes.client import Cluster

LEASE_DURATION_SECONDS: Final = 15
RENEW_DEADLINE_SECONDS: Final = 10.0
RETRY_PERIOD_SECONDS: Final = 2.0
"""The three figures are client-go's defaults."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica that stands for election, and the Lease that decides it."""

    namespace: str
    lease: str
    identity: str


class LeaderElector:
    """Acquires the Lease, renews it, and releases it."""

    def __init__(self, cluster: Cluster, candidate: Candidate) -> None:
        self._cluster = cluster
        self._candidate = candidate
        # Holder and renew time of the Lease, and when this replica read them first: others' clocks may be wrong.
        self._observed, self._observed_at = ("", ""), 0.0
        self._is_held_by_another = False

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` as the leader; returns when `work` has ended, or when the Lease is lost and `work` stopped."""
        acquired = await self._acquire()
        _log.info("leading", extra={"identity": self._candidate.identity})
        metrics.IS_LEADER.set(1)
        working = asyncio.ensure_future(work())
        renewing = asyncio.ensure_future(self._renew(acquired))
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            metrics.IS_LEADER.set(0)
            await _stopped(working)
            await _stopped(renewing)
            await self._release()
            # Also if this task is cancelled: otherwise nobody would learn of an error in the work.
            for task in (working, renewing):
                if not task.cancelled():
                    task.result()

    async def _acquire(self) -> float:
        """Wait for the Lease; returns when the successful request began: others may count from then."""
        while True:
            attempt = time.monotonic()
            if await self._try_acquire_or_renew():
                return attempt
            await asyncio.sleep(RETRY_PERIOD_SECONDS)

    async def _renew(self, renewed: float) -> None:
        while time.monotonic() - renewed < RENEW_DEADLINE_SECONDS:
            await asyncio.sleep(RETRY_PERIOD_SECONDS)
            attempt = time.monotonic()
            try:
                async with asyncio.timeout(RENEW_DEADLINE_SECONDS - (attempt - renewed)):
                    if await self._try_acquire_or_renew():
                        renewed = attempt
                    elif self._is_held_by_another:
                        break
            except TimeoutError:
                break
        _log.error("lost the Lease", extra={"identity": self._candidate.identity})

    async def _try_acquire_or_renew(self) -> bool:
        """Acquire or renew the Lease; False if another replica holds it or the API server did not answer."""
        candidate = self._candidate
        try:
            lease = await self._cluster.get(LEASES, candidate.namespace, candidate.lease)
        except errors.NotFound:
            return await self._write(self._cluster.create, self._lease({}))
        except errors.ClusterError as error:
            _log.warning("could not read the Lease", extra={"error": str(error)})
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
            _log.warning("could not write the Lease", extra={"error": str(error)})
            return False
        return True

    async def _release(self) -> None:
        candidate = self._candidate
        try:
            lease = await self._cluster.get(LEASES, candidate.namespace, candidate.lease)
            if lease.get("spec", {}).get("holderIdentity") == candidate.identity:
                await self._cluster.replace(LEASES, lease | {"spec": lease["spec"] | {"holderIdentity": ""}})
        except errors.ClusterError as error:
            _log.warning("could not release the Lease, which has to expire", extra={"error": str(error)})

    def _is_expired(self, spec: Object) -> bool:
        record = (spec.get("holderIdentity", ""), spec.get("renewTime", ""))
        if record != self._observed:
            self._observed, self._observed_at = record, time.monotonic()
        duration = float(spec.get("leaseDurationSeconds") or LEASE_DURATION_SECONDS)
        return time.monotonic() - self._observed_at > duration

    def _lease(self, old: Object) -> Object:
        now = written_precisely(self._cluster.clock.now())
        spec = old.get("spec", {})
        is_ours = spec.get("holderIdentity") == self._candidate.identity
        return {
            "metadata": old.get("metadata") or {"namespace": self._candidate.namespace, "name": self._candidate.lease},
            "spec": {
                "holderIdentity": self._candidate.identity,
                "leaseDurationSeconds": LEASE_DURATION_SECONDS,
                "acquireTime": spec.get("acquireTime", now) if is_ours else now,
                "renewTime": now,
                "leaseTransitions": spec.get("leaseTransitions", 0) + (0 if is_ours else 1),
            },
        }


async def _stopped(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
