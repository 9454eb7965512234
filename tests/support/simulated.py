"""Runs the reconciler on an API server and Valkey instances in memory."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from reconciler.apply.applier import Applier
from reconciler.apply.instance_actions import InstanceActions
from reconciler.apply.status_writer import StatusWriter
from reconciler.controllers.auth_servers import AuthServers
from reconciler.controllers.session_storage import Reconciler
from reconciler.credentials import identities
from reconciler.manifests.instance_spec import Image
from reconciler.manifests.network_policy import Peers
from reconciler.metrics.primary_answers import PrimaryAnswers
from reconciler.observe.caches import KEEPING
from reconciler.observe.credential_rollouts import CredentialRollouts
from reconciler.observe.kubernetes_warnings import KubernetesWarnings
from reconciler.observe.last_seen import LastSeen
from reconciler.observe.observer import Observer
from reconciler.observe.referenced_secrets import ReferencedSecrets
from reconciler.observe.surroundings import Surroundings
from reconciler.observe.write_checks import WriteChecks
from reconciler.plan.desired_objects import StorageSettings
from reconciler.plan.planner import plan
from reconciler.rotation import schedule
from reconciler.rotation.phases import RotationSettings
from reconciler.runtime.event_recorder import EventRecorder
from reconciler.runtime.storage_metrics import StorageMetrics
from reconciler.runtime.update_slots import UpdateSlots
from reconciler.runtime.write_memory import WriteMemory
from reconciler.state.instance import InstanceFacts
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.state.owned_objects import CHILD_RESOURCES
from reconciler.state.session_storage import DeclaredStorage
from reconciler.valkey import replication, users
from reconciler.valkey.external_store import ExternalStores
from shared import names
from shared.consumers.identity import Consumer
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.consumers.usage_index import ConsumerIndex
from shared.kubernetes.client import Selector
from shared.kubernetes.informer import Informer
from shared.objects.resources import (
    ENDPOINT_SLICES,
    EVENTS,
    PODS,
    SECRETS,
    SESSION_STORAGES,
    VOLUME_CLAIMS,
    Key,
    Object,
    Resource,
)
from tests.support.fakes import FakeApi
from tests.support.fakevalkey import US, FakeValkey
from tests.support.kubelets import Kubelets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.actions.plan import Plan

NAMESPACE = "team"
KEY: Key = (NAMESPACE, "mine")
SETTINGS = StorageSettings(
    Image("registry.example/valkey:9", "IfNotPresent"),
    Peers("session-storage-system", {"app.kubernetes.io/name": "ours"}),
    RotationSettings(refresh=timedelta(0)),  # there is no kubelet that would refresh a mounted file
)
PRIMARY = InstanceFacts(role="master", is_loading=False)
PASSES = 24
"""Passes that suffice for any start: Secrets, objects, a restarted pod, a moved primary, and a status after each."""
OURS_ONLY = Selector(labels=f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}")
OURS, NOWHERE = -1, -2
CLUSTER_IP = "10.0.0.9"
"""The address that the API server in memory gives to every Service."""


class Simulation:
    """One storage, `mine` unless another name is given, its reconciler, and the kubelets that boot its pods.

    Attributes:
        cuts: Pairs of instances between which nothing gets through, by number; `OURS` stands for the reconciler.
        without_dns: Numbers of instances that cannot resolve names.
        nodes: The nodes that the reconciler sees.
        pull_secrets: The Secrets with registry credentials in the release's namespace, by name.
        knows_consumers: Whether the reconciler's caches hold all consumers.
        passed: How much later it is by the API server's clock than it really is.
        metrics: What it tells Prometheus.
        write_checks: Knows which storages are at rest.
        asked: Host, port and fence of each primary that they have asked; each answer is that it takes no writes.
        hastened: The storages that they have reported.
    """

    def __init__(self, settings: StorageSettings = SETTINGS, key: Key = KEY, api: FakeApi | None = None) -> None:
        """Take among others an API server, if several storages share one."""
        self.settings = settings
        self.key = key
        self.api = api or FakeApi()
        self.valkey = FakeValkey()
        self.valkey.resolve = self._resolve
        self.valkey.reaches = lambda one, other: frozenset(map(self._number, (one, other))) not in self.cuts
        self.valkey.has_dns = lambda address: self._number(address) not in self.without_dns
        self.kubelets = Kubelets(self.api, self.valkey, key)
        self.pull_secrets: dict[str, Object] = {}
        self.passed = timedelta(0)
        self.nodes = KubernetesNodes()
        self.cuts: set[frozenset[int]] = set()
        self.without_dns: set[int] = set()
        self.knows_consumers = True
        self.start()

    def start(self) -> None:
        """Restart the reconciler's process: it has forgotten everything."""
        self.consumers = ConsumerIndex()
        self._caches = {
            resource.plural: Informer(self.api, resource, selector=OURS_ONLY, keep=KEEPING[resource.plural])
            for resource in (*CHILD_RESOURCES, PODS, VOLUME_CLAIMS)
        }
        self._caches[SESSION_STORAGES.plural] = Informer(
            self.api, SESSION_STORAGES, keep=KEEPING[SESSION_STORAGES.plural]
        )
        self._kinds = {
            resource.kind: Informer(self.api, resource, self.consumers.on_change, keep=KEEPING[resource.plural])
            for resource in CONSUMER_RESOURCES
        }
        auth_servers = AuthServers(self._kinds)
        rollouts = CredentialRollouts(self.api, self._consumer, auth_servers)
        self.slots = slots = UpdateSlots(1, self._seconds)
        last_seen = LastSeen(lambda: 0.0)
        surroundings = Surroundings(
            read_secret=ReferencedSecrets(self.api, lambda _: None).read,
            serves_tls=lambda: True,
            knows_consumers=lambda: self.knows_consumers,
            has_auth_data=lambda *storage: (
                bool(auth_servers.of_storage(*storage)) or (False if self.knows_consumers else None)
            ),
            is_rotation_due=self._is_due,
            silent_for=lambda _: 0.0,
            outlives_at=lambda _, __: "",
            nodes=lambda: self.nodes,
            may_update=slots.may_take,
            last_seen=last_seen,
            dial=ExternalStores().dial,
            warning_about=KubernetesWarnings(self.api, self._seconds).about,
            sizes=self.settings.sizes,
            pull_sources=self.settings.pods.pull_sources,
            pull_secrets=lambda: self.pull_secrets,
        )
        clock = self._now
        memory = WriteMemory(clock)
        self._observer = Observer(self.api, self._caches, self.consumers, rollouts, surroundings)
        recorder = EventRecorder(self.api, "reconciler-0")
        instances = InstanceActions(self.api, self._caches, clock, last_seen.note_endless_script)
        self._applier = Applier(self.api, self._caches, rollouts.note_refusal, instances, memory)
        storages = self._caches[SESSION_STORAGES.plural]
        self._status = StatusWriter(self.api, storages, recorder)
        self.metrics = StorageMetrics(PrimaryAnswers(), self.consumers.usages, clock)
        self.asked, self.hastened = list[tuple[str, int, int]](), asyncio.Queue[Key]()
        self.write_checks = checks = WriteChecks(self._takes_writes, self.hastened.put_nowait)
        status, settings = self._status, self.settings
        self._reconciler = Reconciler(
            storages, self._observer, self._applier, status, settings, clock, slots, memory, self.metrics, checks
        )

    async def _takes_writes(self, *place: Any) -> bool:
        self.asked.append(place)
        return False

    def _seconds(self) -> float:
        return self.passed.total_seconds()

    def _now(self) -> datetime:
        return self.api.clock.now() + self.passed

    async def ask_for(self, **spec: object) -> None:
        body = {"metadata": {"name": self.key[1], "namespace": self.key[0]}, "spec": spec}
        await self.api.apply(SESSION_STORAGES, body, field_manager="kubectl")

    async def reconcile(self) -> float | None:
        """Make one pass, with caches that are up to date."""
        await self.look()
        with self.instances():
            return await self._reconciler.reconcile(self.key)

    async def look(self) -> None:
        """Bring all caches up to date."""
        for cache in (*self._caches.values(), *self._kinds.values()):
            await cache._list()

    @contextlib.contextmanager
    def instances(self) -> Iterator[None]:
        """Have the reconciler talk to the Valkey instances in memory."""
        commands = ("observe", "ping", "admit", "retire", "disconnect")
        with (
            patch.multiple(users, **{name: getattr(self.valkey, name) for name in commands}),
            patch.object(replication, "connected", self.valkey.connected),
        ):
            yield

    async def decide(self, *, later: timedelta = timedelta(0)) -> tuple[Object, Plan]:
        """Do the first half of a pass with the caches as they are, as if it were later by this time."""
        storage = self._caches[SESSION_STORAGES.plural].get(self.key)
        assert storage is not None
        with self.instances():
            return storage, plan(await self._observer.observe(storage), self.settings, self._now() + later)

    async def carry_out(self, storage: Object, decided: Plan) -> None:
        """Do the other half of a pass, however late."""
        with self.instances():
            failures = await self._applier.carry_out(self.key, decided.strands)
            await self._status.tell(storage, decided.status, decided.events)
            if failures.transient is not None:
                raise failures.transient

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
        """Do as StatefulSet controller and kubelet do."""
        await self.kubelets.boot()

    def _resolve(self, host: str) -> str:
        """Return the instance that the Service selects; any other host is an instance's own address."""
        return self.primary if host in {CLUSTER_IP, names.valkey_host(self.key[1], self.key[0])} else host

    @property
    def primary(self) -> str:
        """The address that new connections through the Service reach; empty if they reach nothing."""
        endpoint_slice = self.find(ENDPOINT_SLICES, names.valkey(self.key[1])) or {}
        return next((each["addresses"][0] for each in endpoint_slice.get("endpoints") or []), "")

    def _number(self, address: str) -> int:
        return OURS if address == US else self.kubelets.numbers.get(address, NOWHERE)

    async def edit(self, resource: Resource, name: str, changes: Object) -> None:
        """Change a child as a person does, with a merge patch (RFC 7386)."""
        await self.api.replace(resource, _edited(self.api.objects[resource.plural, self.key[0], name], changes))

    def find(self, resource: Resource, name: str) -> Object | None:
        return self.api.objects.get((resource.plural, self.key[0], name))

    def secret(self, name: str) -> dict[str, str]:
        secret = self.find(SECRETS, name)
        assert secret is not None
        return identities.decoded(secret["data"])

    @property
    def status(self) -> Object:
        status: Object = (self.find(SESSION_STORAGES, self.key[1]) or {}).get("status", {})
        return status

    @property
    def events(self) -> list[str]:
        return [obj["reason"] for (plural, _, _), obj in self.api.objects.items() if plural == EVENTS.plural]

    @property
    def children(self) -> dict[tuple[str, str], Object]:
        """The objects of the storage, without the fields that the API server adds."""
        kinds = {resource.plural for resource in CHILD_RESOURCES}
        return {(plural, name): _own(obj) for (plural, _, name), obj in self.api.objects.items() if plural in kinds}

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Assert that nobody writes while the block runs."""
        before = list(self.api.writes)
        yield
        assert self.api.writes == before

    def _consumer(self, who: Consumer) -> Object | None:
        return self._kinds[who.kind].get((who.namespace, who.name))

    def _is_due(self, storage: DeclaredStorage) -> bool:
        storages, secrets = self._caches[SESSION_STORAGES.plural].objects, self._caches[SECRETS.plural].objects
        return schedule.is_due(storage, storages.values(), secrets, self.settings.rotation, datetime.now(UTC))


def _own(obj: Object) -> Object:
    metadata = {name: obj["metadata"].get(name) for name in ("name", "labels", "ownerReferences")}
    content = ("spec", "data", "type", "addressType", "ports", "endpoints")
    return {"metadata": metadata, **{name: obj[name] for name in content if name in obj}}


def _edited(old: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return changes
    old = old if isinstance(old, dict) else {}
    kept = {key: value for key, value in old.items() if key not in changes}
    return kept | {key: _edited(old.get(key), value) for key, value in changes.items() if value is not None}
