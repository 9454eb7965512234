"""Plays ToolHive's operator and our webhook on an API server in memory: connects consumers, and rolls their pods.

A pod reads its password as it starts, and keeps the password and a session until it ends, as ToolHive's proxies do.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.credentials import identities
from shared import names
from shared.consumers.injection import desired_of_stored
from shared.consumers.injection_record import InjectionRecord
from shared.consumers.kinds import KINDS, connection_secret_of
from shared.consumers.stored_consumer import StoredConsumer
from shared.consumers.targets import Target
from shared.objects.field_path import read
from shared.objects.resources import (
    DEPLOYMENTS,
    MCP_SERVERS,
    PODS,
    SECRETS,
    SESSION_STORAGES,
    STATEFUL_SETS,
    Object,
    Resource,
)

if TYPE_CHECKING:
    from tests.support.fakes import FakeApi
    from tests.support.fakevalkey import FakeInstance, FakeSession, FakeValkey


@dataclass
class Holder:
    """A pod of a consumer, with the password and the session that it got as it started."""

    pod: Object
    password: str
    session: FakeSession = field(repr=False)


class ToolHive:
    """Creates consumers' Deployments and StatefulSets and rolls their pods, one write at a time.

    Attributes:
        holders: The running pods.
        is_idle: Whether the operator does nothing.
    """

    def __init__(self, api: FakeApi, valkey: FakeValkey) -> None:
        self._api = api
        self._valkey = valkey
        self._numbers = itertools.count(1)
        self.holders: list[Holder] = []
        self.is_idle = False
        api.admit = self._admit

    async def serve(self, name: str, namespace: str, storage: object, **spec: object) -> None:
        """Create an MCPServer that refers to a storage."""
        metadata = {"name": name, "namespace": namespace}
        await self._api.create(MCP_SERVERS, {"metadata": metadata, "spec": {"sessionStorageRef": storage, **spec}})

    async def move(self) -> bool:
        """Do the first thing that is needed; return False if nothing is."""
        if self.is_idle:
            return False
        for (plural, namespace, name), server in list(self._api.objects.items()):
            if plural != MCP_SERVERS.plural or InjectionRecord.of(server) is None:
                continue
            for resource in (DEPLOYMENTS, STATEFUL_SETS):
                if await self._roll(resource, namespace, name, server):
                    return True
        return False

    async def settle(self) -> None:
        while await self.move():
            pass

    async def _roll(self, resource: Resource, namespace: str, name: str, server: Object) -> bool:
        """Roll with a surge: a new pod starts before the old one ends."""
        kind = KINDS["MCPServer"]
        path = kind.proxy_annotations if resource is DEPLOYMENTS else kind.backend_annotations
        assert path is not None
        revision = read(server, (*path, names.ANNOTATION_REVISION))
        workload = self._api.objects.get((resource.plural, namespace, name))
        if workload is None:
            await self._api.create(resource, _workload(resource, namespace, name))
            return True
        ours = [each for each in self.holders if each.pod["metadata"]["labels"] == _labels(resource, name)]
        ours = [each for each in ours if each.pod["metadata"]["namespace"] == namespace]
        current = [each for each in ours if _revision(each.pod) == revision]
        if not current:
            return await self._start(resource, namespace, name, revision, server)
        for old in ours:
            if old not in current:
                await self.end(old)
                return True
        return False

    async def _start(self, resource: Resource, namespace: str, name: str, revision: str | None, server: Object) -> bool:
        record = InjectionRecord.of(server)
        assert record is not None
        secret = self._api.objects.get((SECRETS.plural, namespace, connection_secret_of(record.reference, namespace)))
        if secret is None or (instance := self._serving()) is None or not instance.is_reachable:
            return False
        number = next(self._numbers)
        password = identities.decoded(secret["data"])[names.KEY_REDIS_PASSWORD]
        metadata: Object = {"name": f"{name}-{number}", "namespace": namespace, "labels": _labels(resource, name)}
        if revision is not None:
            metadata["annotations"] = {names.ANNOTATION_REVISION: revision}
        address = f"10.9.0.{number}"
        ready = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "podIPs": [{"ip": address}], "conditions": ready}
        session = instance.connect(identities.CONSUMER.user, password, address)
        pod = await self._api.create(PODS, {"metadata": metadata, "status": status})
        self.holders.append(Holder(pod, password, session))
        return True

    async def end(self, holder: Holder) -> None:
        """End a pod, and its session with it."""
        self.holders.remove(holder)
        holder.session.is_open = False
        metadata = holder.pod["metadata"]
        await self._api.delete(PODS, metadata["namespace"], metadata["name"])

    def _serving(self) -> FakeInstance | None:
        """Find the primary; None if there is none now."""
        return next((each for each in self._valkey.instances.values() if not each.history.upstream), None)

    def _admit(self, resource: Resource, obj: Object) -> Object:
        if resource is not MCP_SERVERS:
            return obj
        storages = {key[1:]: each for key, each in self._api.objects.items() if key[0] == SESSION_STORAGES.plural}
        return desired_of_stored(StoredConsumer.of({"kind": "MCPServer", **obj}), storages, Target.ALL)


def _workload(resource: Resource, namespace: str, name: str) -> Object:
    labels = _labels(resource, name)
    template: Any = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec, "status": {"observedGeneration": 1}}


def _labels(resource: Resource, name: str) -> dict[str, str]:
    return {"toolhive": "true", "app": name, "part": resource.kind}


def _revision(pod: Object) -> str | None:
    revision: str | None = pod["metadata"].get("annotations", {}).get(names.ANNOTATION_REVISION)
    return revision
