"""Looks at the instances of one storage: their pods, what Kubernetes' Events say of them, and their servers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.observe import instance_probe
from reconciler.state import pod_status
from reconciler.state.instance import Instance
from shared import names
from shared.objects.resources import PODS, STATEFUL_SETS, VOLUME_CLAIMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from reconciler.credentials.key_ring import KeyRing
    from reconciler.observe.surroundings import Surroundings
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key, Object


class InstanceObserver:
    """Looks at all instances of a storage at the same time."""

    def __init__(
        self, caches: Mapping[str, Informer], surroundings: Surroundings, clock: Callable[[], datetime]
    ) -> None:
        """Take among others the API server's clock."""
        self._caches = caches
        self._surroundings = surroundings
        self._clock = clock

    async def observe(self, storage: Key, indexes: Sequence[int], ring: KeyRing | None) -> tuple[Instance, ...]:
        """Look at instances.

        Args:
            storage: Their storage.
            indexes: Their numbers.
            ring: The storage's passwords; None if there is no auth Secret.
        """
        looks = (self._look(storage, index, ring, is_urgent=len(indexes) > 1) for index in indexes)
        return tuple(await asyncio.gather(*looks))

    async def _look(self, storage: Key, index: int, ring: KeyRing | None, *, is_urgent: bool) -> Instance:
        namespace, name = storage
        pod = self._caches[PODS.plural].get((namespace, names.valkey_pod(name, index)))
        silent_for = self._surroundings.silent_for(pod) if pod is not None else 0.0
        outlives_at = "" if pod_status.address(pod) else self._surroundings.outlives_at(storage, index)
        seen = Instance(index, pod, silent_for=silent_for, outlives_at=outlives_at)
        if (silent := self._silent_about(storage, seen)) is not None:
            seen = replace(seen, warning=await self._surroundings.warning_about(silent))
        return await instance_probe.probe(seen, ring, self._surroundings.ask, is_urgent=is_urgent)

    def _silent_about(self, storage: Key, instance: Instance) -> Object | None:
        """Find the object that does not say itself why an instance's pod does not exist or start: its Events do.

        That is the claim of a volume that does not come, else the pod, or the StatefulSet that should have made it.
        None as long as it may only need time.
        """
        (namespace, name), now = storage, self._clock()
        if instance.pod is None:
            workload = self._caches[STATEFUL_SETS.plural].get((namespace, names.valkey_instance(name, instance.index)))
            return workload if workload is not None and pod_status.is_overdue(workload, now) else None
        if not pod_status.is_stuck(instance.pod, now):
            return None
        claim = self._caches[VOLUME_CLAIMS.plural].get((namespace, names.valkey_claim(name, instance.index)))
        if claim is not None and claim.get("status", {}).get("phase") == "Pending":
            return claim
        return None if pod_status.is_unschedulable(instance.pod) else instance.pod
