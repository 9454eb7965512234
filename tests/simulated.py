"""The reconciler at work on an API server and Valkey nodes in memory."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from reconciler import rotation, schedule
from reconciler.apply import Applier
from reconciler.events import EventRecorder
from reconciler.holders import Holders
from reconciler.observe import CHILD_RESOURCES, Observer, Outlook
from reconciler.plan import Settings, plan
from reconciler.reconcile import Reconciler
from shared import credentials, names, valkey_node
from shared.consumer_index import Consumer, ConsumerIndex
from shared.informer import Informer
from shared.manifests import Peers
from shared.resources import EVENTS, PODS, SECRETS, SESSION_STORAGES, STATEFUL_SETS, Key, Object, Resource
from shared.toolhive import CONSUMER_RESOURCES
from shared.valkey_node import NodeFacts
from shared.workload import Image
from tests.fakes import FakeApi
from tests.fakevalkey import FakeNode, FakeValkey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from reconciler.steps import Plan

NAMESPACE = "team"
KEY: Key = (NAMESPACE, "mine")
SETTINGS = Settings(
    Image("registry.example/valkey:9", "IfNotPresent"),
    Peers("toolhive-system", {"app.kubernetes.io/name": "ours"}),
    rotation.Settings(refresh=timedelta(0)),  # no kubelet, no file that it would refresh
)
PRIMARY = NodeFacts(role="master", server_version="9.1.2", is_loading=False)
PASSES = 12
"""More than any start needs: secrets, objects, a restarted pod, and a status after each."""


class Simulation:
    """One storage `mine` in the namespace `team`, its reconciler, and the kubelet that boots its pods."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.valkey = FakeValkey()
        self.start()

    def start(self) -> None:
        """Start the reconciler's process anew: nothing that it remembered is left."""
        self.consumers = ConsumerIndex()
        self._caches = {
            resource.plural: Informer(self.api, resource) for resource in (*CHILD_RESOURCES, PODS, SESSION_STORAGES)
        }
        self._kinds = {
            resource.kind: Informer(self.api, resource, self.consumers.on_change) for resource in CONSUMER_RESOURCES
        }
        holders = Holders(self.api, self._consumer)
        outlook = Outlook(lambda: True, lambda: True, self._is_due)
        self._observer = Observer(self.api, self._caches, self.consumers, holders, outlook)
        self._applier = Applier(self.api, self._caches, EventRecorder(self.api, "reconciler-0"), holders.refuse)
        storages, clock = self._caches[SESSION_STORAGES.plural], self.api.clock.now
        self._reconciler = Reconciler(storages, self._observer, self._applier, SETTINGS, clock)

    async def ask_for(self, **spec: object) -> None:
        body = {"metadata": {"name": KEY[1], "namespace": NAMESPACE}, "spec": spec}
        await self.api.apply(SESSION_STORAGES, body, field_manager="kubectl")

    async def reconcile(self) -> float | None:
        """Make one pass, with caches that are up to date."""
        await self.look()
        with self.nodes():
            return await self._reconciler.reconcile(KEY)

    async def look(self) -> None:
        """Bring all caches up to date."""
        for cache in (*self._caches.values(), *self._kinds.values()):
            await cache._list()

    def nodes(self) -> AbstractContextManager[object]:
        """Let Valkey nodes be those in memory."""
        commands = ("observe", "ping", "admit", "retire", "disconnect")
        patched: AbstractContextManager[object] = patch.multiple(
            valkey_node, **{name: getattr(self.valkey, name) for name in commands}
        )
        return patched

    async def decide(self, *, later: timedelta = timedelta(0)) -> tuple[Object, Plan]:
        """Do the first half of a pass, with caches as they are; at a later time, if the time itself is what counts."""
        storage = self._caches[SESSION_STORAGES.plural].get(KEY)
        assert storage is not None
        with self.nodes():
            return storage, plan(await self._observer.observe(storage), SETTINGS, datetime.now(UTC) + later)

    async def carry_out(self, storage: Object, decided: Plan) -> None:
        """Do the other half, however late."""
        with self.nodes():
            await self._applier.apply(storage, decided)

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
            template = workload.get("spec", {}).get("template", {})
            labels = template.get("metadata", {}).get("labels", {})
            # ToolHive's sets have no node; one without a template is none that a real API server would have taken.
            is_node = plural == STATEFUL_SETS.plural and names.LABEL_NODE in labels
            if is_node and (PODS.plural, NAMESPACE, f"{name}-0") not in self.api.objects:
                metadata = {"name": f"{name}-0", "namespace": NAMESPACE, "labels": labels}
                auth = self.find(SECRETS, names.auth_secret(KEY[1])) or {}
                node = FakeNode(credentials.decoded(auth.get("data")).get("users.acl", ""))
                self.valkey.nodes = {"10.1.0.1": node}
                status = {"phase": "Running", "podIP": "10.1.0.1"}
                await self.api.create(PODS, {"metadata": metadata, "status": status})

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

    def _consumer(self, who: Consumer) -> Object | None:
        return self._kinds[who.kind].get((who.namespace, who.name))

    def _is_due(self, storage: Object) -> bool:
        storages, secrets = self._caches[SESSION_STORAGES.plural].objects, self._caches[SECRETS.plural].objects
        return schedule.is_due(storage, storages.values(), secrets, 1, datetime.now(UTC))


def _own(obj: Object) -> Object:
    metadata = {name: obj["metadata"].get(name) for name in ("name", "labels", "ownerReferences")}
    return {"metadata": metadata, **{name: obj[name] for name in ("spec", "data", "type") if name in obj}}


def _edited(old: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return changes
    old = old if isinstance(old, dict) else {}
    kept = {key: value for key, value in old.items() if key not in changes}
    return kept | {key: _edited(old.get(key), value) for key, value in changes.items() if value is not None}
