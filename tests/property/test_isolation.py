"""Whatever a tenant writes beside two storages, these go on: they serve, fail over and rotate."""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.controllers.watches import Watches
from shared import errors, names
from shared.kubernetes.informer import UNHANDLED, Informer
from shared.objects.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    MCP_SERVERS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    SESSION_STORAGES,
    STATEFUL_SETS,
    VOLUME_CLAIMS,
    Key,
    Object,
    Resource,
)
from tests.support.fakes import FakeApi
from tests.support.simulated import Simulation

TEAM: Final = "team"
ONE, TWO, ODD = (TEAM, "mine"), (TEAM, "other"), (TEAM, "odd")
ENOUGH: Final = 60
"""Passes within which a failover, or a rotation, ends; about ten, or thirty, are usual."""
KINDS: Final = (
    *(STATEFUL_SETS, PODS, SECRETS, ENDPOINT_SLICES, SERVICES, CONFIG_MAPS, NETWORK_POLICIES),
    *(DISRUPTION_BUDGETS, VOLUME_CLAIMS, NODES, DEPLOYMENTS, MCP_SERVERS, SESSION_STORAGES),
)
"""Every kind that the reconciler watches."""
LABELS: Final = (
    names.LABEL_STORAGE,
    names.LABEL_STORAGE_NAMESPACE,
    names.LABEL_INSTANCE,
    names.LABEL_ROLE,
    names.LABEL_SIZE,
    names.LABEL_MANAGED_BY,
    names.LABEL_CONSUMER_OF,
    "kubernetes.io/service-name",
    "endpointslice.kubernetes.io/managed-by",
)
ANNOTATIONS: Final = (
    names.ANNOTATION_PRIMARY,
    names.ANNOTATION_ROTATION,
    names.ANNOTATION_REVISION,
    names.ANNOTATION_STORAGE,
    names.ANNOTATION_INJECTION,
    names.ANNOTATION_PROMOTE,
    names.ANNOTATION_SWITCHOVER,
)
VALUES: Final = st.sampled_from(
    [
        "",
        "mine",
        "other",
        TEAM,
        "0",
        "1",
        "7",
        "x",
        "-1",
        "²",
        names.MANAGED_BY,
        "mine-valkey",
        "{}",
        "[1]",
        '{"to":"x"}',
    ]
)
OURS: Final[dict[str, str | None]] = {
    names.LABEL_STORAGE: "mine",
    names.LABEL_MANAGED_BY: names.MANAGED_BY,
    names.LABEL_INSTANCE: "0",
    "kubernetes.io/service-name": "mine-valkey",
    "endpointslice.kubernetes.io/managed-by": names.MANAGED_BY,
}
"""Labels of an object of ours; a stranger has them but for a few."""
WRONG: Final = st.dictionaries(st.sampled_from(LABELS), st.one_of(st.none(), VALUES), max_size=3)
NAMES: Final = st.sampled_from(
    [
        *("stranger", "mine", "mine-valkey-x", "mine-valkey-", "mine-valkey-7", "mine-valkey-7-0", "mine-valkey-x-0"),
        *("mine-valkey-ipv6", "mine-valkey-ipv4", "team.mine-connection", "data-mine-valkey-7-0", "a"),
    ]
)
PLACES: Final = st.sampled_from([TEAM, TEAM, "elsewhere"])
ANY: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text("x/:.{", max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)),
    max_leaves=4,
)
SPECS: Final = st.one_of(
    ANY.map(lambda value: {"size": value}),
    ANY.map(lambda value: {"external": value}),
    st.sampled_from(["x", "redis://", "redis://[", "redis://h:99999/x", "redis://:p@h"]).map(
        lambda url: {"external": {"url": url, "secretRef": "none"}}
    ),
    ANY.map(lambda value: {"allowedNamespaces": value}),
    ANY.map(lambda value: {"rotation": {"every": value}}),
    st.just({}),
)
"""More than the schema lets pass: an older CRD may have let it."""
FIELDS: Final = ("spec", "status", "data", "subsets", "endpoints", "ports", "type", "kind")


@st.composite
def strangers(draw: st.DrawFn) -> tuple[Resource, Object, str]:
    """Draw an object of a tenant: the one to write, and of which of ours it is a copy."""
    resource = draw(st.sampled_from(KINDS))
    metadata: Object = {
        "name": draw(NAMES),
        "namespace": draw(PLACES),
        "labels": {key: value for key, value in (OURS | draw(WRONG)).items() if value is not None},
        "annotations": draw(st.dictionaries(st.sampled_from(ANNOTATIONS), VALUES, max_size=2)),
    }
    owners = draw(st.sampled_from([None, [{"uid": "x", "controller": True}], [{"uid": "x"}], [{"kind": "X"}]]))
    if owners is not None:
        metadata["ownerReferences"] = owners
    obj: Object = {"metadata": metadata}
    if resource is SESSION_STORAGES:
        metadata |= {"name": ODD[1], "namespace": ODD[0]}
        obj["spec"] = draw(SPECS)
    elif resource is MCP_SERVERS:
        obj["spec"] = {"sessionStorageRef": draw(st.one_of(VALUES, ANY))}
    return resource, obj, draw(st.sampled_from(["keep", *FIELDS]))


def disguised(api: FakeApi, resource: Resource, obj: Object, missing: str) -> Object:
    """Give a stranger the content of an object of ours, but for one field."""
    ours = next((each for (plural, _, _), each in sorted(api.objects.items()) if plural == resource.plural), {})
    content = {key: value for key, value in copy.deepcopy(ours).items() if key not in {"metadata", missing}}
    # What the API server demands of every object of these kinds.
    needed: dict[str, Object] = {
        SERVICES.plural: {"spec": {}},
        STATEFUL_SETS.plural: {"spec": {}},
        PODS.plural: {"spec": {}},
        NODES.plural: {"spec": {}},
        ENDPOINT_SLICES.plural: {"addressType": "IPv4"},
    }
    return {**needed.get(resource.plural, {}), **content, **obj}


class World:
    """Two storages that share an API server with a tenant."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.storages = [Simulation(key=key, api=self.api) for key in (ONE, TWO)]
        self.watches = Watches(self.api)

    async def start(self) -> None:
        for storage, size in zip(self.storages, ("large", "medium"), strict=True):
            await storage.ask_for(size=size)
            await storage.settle()

    async def write(self, resource: Resource, obj: Object, missing: str) -> None:
        try:
            await self.api.create(resource, disguised(self.api, resource, obj, missing))
        except errors.AlreadyExists:
            return

    async def watch(self) -> None:
        """Have every handler take in everything."""
        for informer in self._informers():
            await informer._list()

    def _informers(self) -> list[Informer]:
        return [*self.watches.caches.values(), self.watches.deployments, self.watches.nodes]

    async def until(self, storage: Simulation, what: Any) -> None:
        for _ in range(ENOUGH):
            if what():
                return
            await storage.reconcile()
            await storage.boot()
        raise AssertionError(f"{storage.key} does not get on: {storage.status}")

    async def fail_over(self, storage: Simulation) -> None:
        before = storage.status["primary"]
        address = storage.primary
        await self.api.delete(PODS, TEAM, f"{before}-0")
        del storage.valkey.instances[address]
        await self.until(storage, lambda: storage.status.get("primary") not in {None, before})

    async def rotate(self, storage: Simulation) -> None:
        annotations = {"metadata": {"annotations": {names.ANNOTATION_ROTATE: "now"}}}
        await storage.edit(SESSION_STORAGES, storage.key[1], annotations)
        await self.until(storage, lambda: storage.status.get("rotation", {}).get("phase") == "Discarded")

    async def look_at(self, key: Key) -> None:
        """Make a pass over a storage of the tenant's; whatever it is, that ends by nothing unexpected."""
        first = self.storages[0]
        await first.look()
        with first.instances():
            try:
                await first._reconciler.reconcile(key)
            except errors.SessionStorageError:
                return


def handler_errors() -> float:
    return sum(sample.value for metric in UNHANDLED.collect() for sample in metric.samples if "total" in sample.name)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(strangers(), min_size=3, max_size=12))
def test_two_storages_go_on_whatever_a_tenant_writes_beside_them(written: list[tuple[Resource, Object, str]]) -> None:
    async def check() -> None:
        world, before = World(), handler_errors()
        await world.start()
        for resource, obj, missing in written:
            await world.write(resource, obj, missing)
        await world.watch()
        assert handler_errors() == before
        await world.look_at(ODD)
        await world.fail_over(world.storages[0])
        for storage in world.storages:
            await world.rotate(storage)

    asyncio.run(check())


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
