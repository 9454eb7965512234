"""Hands the Services of all storages over to Kubernetes' own controllers: `python -m reconciler.handover`.

Helm runs this before it uninstalls the chart. Storages go on being served then, even if their pods move to other
addresses: a selector leads clients to the instance that is primary now. A new installation takes the Services back.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import uvloop

from reconciler.runtime.waiting import within
from reconciler.state.primary_service import PrimaryService, is_written_here, service_of
from shared import errors, names
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.namespaces import WHOLE_CLUSTER, WatchedNamespaces
from shared.objects.field_path import pointer
from shared.objects.resources import DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICES, annotation_of, key_of
from shared.process import json_log
from shared.process.environment import FromEnvironment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.objects.field_path import Path
    from shared.objects.resources import Key, Object
    from shared.process.environment import Environment

STOP_SECONDS: Final = 60.0
"""How long the reconcilers may take to stop; kubelet gives them 30 s."""
TAKEOVER_SECONDS: Final = 30.0
"""How long Kubernetes' controller may take to write where the pods of all Services are; it takes about a second."""
_POLL_SECONDS: Final = 0.2
_ANNOTATIONS: Final = ("metadata", "annotations")
_NOTED: Final = (*_ANNOTATIONS, names.ANNOTATION_REPLICAS)
_OURS: Final = Selector(labels=f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HandoverSettings(FromEnvironment):
    """Where the reconciler runs.

    Attributes:
        deployment: (namespace, name) of its Deployment.
        pods: Label selector of its pods.
        log_level: Least level of a log line, as Python names it.
        namespaces: Where the reconciler looks after storages.
    """

    deployment: Key
    pods: str
    log_level: str
    namespaces: WatchedNamespaces = WHOLE_CLUSTER

    @classmethod
    def _read(cls, env: Environment) -> Self:
        deployment = env.required("POD_NAMESPACE"), env.required("DEPLOYMENT")
        namespaces = WatchedNamespaces(env.namespaces("WATCH_NAMESPACES"))
        return cls(deployment, env.required("RECONCILER_SELECTOR"), env.log_level("LOG_LEVEL"), namespaces)


async def hand_over(cluster: Cluster, settings: HandoverSettings) -> None:
    """Stop the reconcilers, which would take every Service back, and give each Service of a primary a selector.

    This can be repeated, also after it was killed at any point. Clients notice nothing: the EndpointSlice of the
    reconciler goes once Kubernetes has its own.

    Raises:
        ClusterError: The API server refused something, did not answer, or took too long; the reconcilers run again.
    """
    await _stop(cluster, settings.deployment)
    try:
        await _stopped(cluster, settings)
        await _hand_over(cluster, settings.namespaces)
    except errors.ClusterError:
        await _start_again(cluster, settings.deployment)
        raise


async def _stop(cluster: Cluster, deployment: Key) -> None:
    """Have a Deployment run no pods, and note on it how many it had; one that has none keeps what an earlier try noted.

    One write does both: whenever this process is killed, the next one knows what to restore.
    """
    found = await _find(cluster, deployment)
    replicas = found["spec"].get("replicas", 1) if found is not None else 0
    if found is None or not replicas:
        return
    # A JSON patch cannot add to a map that does not exist.
    made = [] if found["metadata"].get("annotations") else [_added(_ANNOTATIONS, {})]
    none: Object = {"op": "replace", "path": "/spec/replicas", "value": 0}
    await cluster.patch(
        DEPLOYMENTS, *deployment, [*made, _added(_NOTED, str(replicas)), none], field_manager=names.FIELD_MANAGER
    )


async def _start_again(cluster: Cluster, deployment: Key) -> None:
    """Have a Deployment run as many pods as it had before it was stopped."""
    found = await _find(cluster, deployment)
    noted = annotation_of(found, names.ANNOTATION_REPLICAS) if found is not None else ""
    if noted.isdecimal():
        before: Object = {"op": "replace", "path": "/spec/replicas", "value": int(noted)}
        gone: Object = {"op": "remove", "path": pointer(_NOTED)}
        await cluster.patch(DEPLOYMENTS, *deployment, [before, gone], field_manager=names.FIELD_MANAGER)


async def _find(cluster: Cluster, deployment: Key) -> Object | None:
    try:
        return await cluster.get(DEPLOYMENTS, *deployment)
    except errors.NotFound:
        return None


def _added(path: Path, value: object) -> Object:
    return {"op": "add", "path": pointer(path), "value": value}


async def _stopped(cluster: Cluster, settings: HandoverSettings) -> None:
    pods_here = Selector(namespace=settings.deployment[0], labels=settings.pods)

    async def has_stopped() -> bool:
        return not (await cluster.list_all(PODS, pods_here))[0]

    await _until(has_stopped, STOP_SECONDS, "the reconcilers have stopped")


async def _hand_over(cluster: Cluster, namespaces: WatchedNamespaces) -> None:
    services = await _services(cluster, namespaces)
    for service in services.values():
        await cluster.replace(SERVICES, service.selecting())

    async def is_taken_over() -> bool:
        return services.keys() <= await _served_by_others(cluster, namespaces)

    await _until(is_taken_over, TAKEOVER_SECONDS, "Kubernetes has written where all primaries are")
    for service in services.values():
        for endpoint_slice in service.slices.values():
            await cluster.delete(ENDPOINT_SLICES, *key_of(endpoint_slice))
        _log.info("handed a storage over", extra={"service": "/".join(service.key)})


async def _services(cluster: Cluster, namespaces: WatchedNamespaces) -> dict[Key, PrimaryService]:
    """Find the Services that our EndpointSlices lead."""
    slices: dict[Key, list[Object]] = {}
    for each in await namespaces.list_all(cluster, ENDPOINT_SLICES, _OURS):
        if is_written_here(each) and (key := service_of(each)):
            slices.setdefault(key, []).append(each)
    services = await namespaces.list_all(cluster, SERVICES, _OURS)
    found = {key_of(each): PrimaryService.of(each, slices[key_of(each)]) for each in services if key_of(each) in slices}
    return {key: service for key, service in found.items() if service.primary is not None}


async def _served_by_others(cluster: Cluster, namespaces: WatchedNamespaces) -> set[Key]:
    """Find the Services for which Kubernetes' controller has written EndpointSlices."""
    slices = await namespaces.list_all(cluster, ENDPOINT_SLICES, _OURS)
    return {key for each in slices if not is_written_here(each) and (key := service_of(each))}


async def _until(is_so: Callable[[], Awaitable[bool]], seconds: float, what: str) -> None:
    if not await within(seconds, is_so, _POLL_SECONDS):
        raise errors.Unavailable(f"not within {seconds:g} s: {what}")


async def _run(settings: HandoverSettings) -> int:
    async with await Cluster.connect(user_agent="toolhive-session-storage-handover") as cluster:
        try:
            await hand_over(cluster, settings)
        except errors.ClusterError as error:
            hint = "run `helm uninstall` again, or with --no-hooks to leave storages as they are"
            _log.exception("could not hand all storages over: %s", hint, extra={"error": str(error)})
            return 1
    return 0


def main() -> int:
    """Hand everything over, and tell by the exit status whether that is done."""
    try:
        settings = HandoverSettings.from_environ(os.environ)
    except errors.InvalidSettings as error:
        sys.stderr.write(f"handover: {error}\n")
        return 2
    json_log.configure("handover", settings.log_level)
    return uvloop.run(_run(settings))


if __name__ == "__main__":
    sys.exit(main())
