"""The reconciler at work on an API server in memory, with Valkey nodes that know only the ACL file they booted with."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from reconciler.apply import Applier
from reconciler.events import EventRecorder
from reconciler.observe import CHILD_RESOURCES, Observer
from reconciler.plan import Settings
from reconciler.reconcile import Reconciler
from shared import credentials, errors, names, valkey_node
from shared.consumer_index import ConsumerIndex
from shared.informer import Informer
from shared.manifests import Peers
from shared.resources import EVENTS, PODS, SECRETS, SESSION_STORAGES, STATEFUL_SETS, Key, Object, Resource
from shared.valkey_node import Login, NodeFacts
from shared.workload import Image
from tests.fakes import FakeApi

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "team"
KEY: Key = (NAMESPACE, "mine")
SETTINGS = Settings(
    Image("registry.example/valkey:9", "IfNotPresent"), Peers("toolhive-system", {"app.kubernetes.io/name": "ours"})
)
PRIMARY = NodeFacts(role="master", server_version="9.1.2", is_loading=False)
PASSES = 12
"""More than any start needs: secrets, objects, a restarted pod, and a status after each."""


class Simulation:
    """One storage `mine` in the namespace `team`, its reconciler, and the kubelet that boots its pods."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.consumers = ConsumerIndex()
        self._caches = {
            resource.plural: Informer(self.api, resource) for resource in (*CHILD_RESOURCES, PODS, SESSION_STORAGES)
        }
        observer = Observer(self.api, self._caches, self.consumers, lambda: True)
        applier = Applier(self.api, self._caches, EventRecorder(self.api, "reconciler-0"))
        self._reconciler = Reconciler(self._caches[SESSION_STORAGES.plural], observer, applier, SETTINGS)
        self._booted: dict[str, str] = {}

    async def ask_for(self, **spec: object) -> None:
        body = {"metadata": {"name": KEY[1], "namespace": NAMESPACE}, "spec": spec}
        await self.api.apply(SESSION_STORAGES, body, field_manager="kubectl")

    async def reconcile(self) -> float | None:
        """Make one pass, with caches that are up to date."""
        for cache in self._caches.values():
            await cache._list()
        with patch.multiple(valkey_node, observe=self._observe, ping=self._ping):
            return await self._reconciler.reconcile(KEY)

    async def settle(self) -> None:
        """Make passes, and boot pods in between, until a pass writes nothing."""
        for _ in range(PASSES):
            written = len(self.api.writes)
            await self.reconcile()
            await self.boot()
            if len(self.api.writes) == written:
                return
        raise AssertionError(f"still writing after {PASSES} passes: {self.api.writes[-10:]}")

    async def boot(self) -> None:
        """Do as StatefulSet controller and kubelet do: each set has a pod, and it reads the ACL file as it starts."""
        for (plural, _, name), workload in list(self.api.objects.items()):
            template = workload.get("spec", {}).get("template")
            # One without a template is none that a real API server would have taken; it makes no pods.
            is_set = plural == STATEFUL_SETS.plural and template is not None
            if is_set and (PODS.plural, NAMESPACE, f"{name}-0") not in self.api.objects:
                labels = template["metadata"]["labels"]
                metadata = {"name": f"{name}-0", "namespace": NAMESPACE, "labels": labels}
                status = {"phase": "Running", "podIP": "10.1.0.1"}
                pod = await self.api.create(PODS, {"metadata": metadata, "status": status})
                auth = self.find(SECRETS, names.auth_secret(KEY[1])) or {}
                self._booted[pod["metadata"]["uid"]] = credentials.decoded(auth.get("data")).get("users.acl", "")

    async def edit(self, resource: Resource, name: str, changes: Object) -> None:
        """Change a child as a person does, by a merge patch (RFC 7386)."""
        await self.api.replace(resource, _edited(self.api.objects[resource.plural, NAMESPACE, name], changes))

    def find(self, resource: Resource, name: str) -> Object | None:
        return self.api.objects.get((resource.plural, NAMESPACE, name))

    def secret(self, name: str) -> dict[str, str]:
        secret = self.find(SECRETS, name)
        assert secret is not None
        return credentials.decoded(secret["data"])

    @property
    def status(self) -> Object:
        status: Object = (self.find(SESSION_STORAGES, KEY[1]) or {}).get("status", {})
        return status

    @property
    def events(self) -> list[str]:
        return [obj["reason"] for (plural, _, _), obj in self.api.objects.items() if plural == EVENTS.plural]

    @property
    def children(self) -> dict[tuple[str, str], Object]:
        """What makes up the storage, without what the API server adds of its own."""
        kinds = {resource.plural for resource in CHILD_RESOURCES}
        return {(plural, name): _own(obj) for (plural, _, name), obj in self.api.objects.items() if plural in kinds}

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Assert that nothing is written meanwhile."""
        before = list(self.api.writes)
        yield
        assert self.api.writes == before

    async def _observe(self, host: str, port: int, login: Login) -> NodeFacts:
        await self._ping(host, port, login)
        return PRIMARY

    async def _ping(self, host: str, port: int, login: Login) -> None:
        (pod,) = [obj for (plural, _, _), obj in self.api.objects.items() if plural == PODS.plural]
        digest = hashlib.sha256(login.password.encode()).hexdigest()
        if f"user {login.user} on #{digest} " not in self._booted[pod["metadata"]["uid"]]:
            raise errors.StoreRefused(f"{host}:{port} as {login.user}: AuthenticationError")


def _own(obj: Object) -> Object:
    metadata = {name: obj["metadata"].get(name) for name in ("name", "labels", "ownerReferences")}
    return {"metadata": metadata, **{name: obj[name] for name in ("spec", "data", "type") if name in obj}}


def _edited(old: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return changes
    old = old if isinstance(old, dict) else {}
    kept = {key: value for key, value in old.items() if key not in changes}
    return kept | {key: _edited(old.get(key), value) for key, value in changes.items() if value is not None}
