"""What the reconciler reads about the consumers of a credential, and what it does not read again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.observe.credential_rollouts import CredentialRollouts
from reconciler.state.credential_rollout import CredentialRollout, StampPlace
from reconciler.state.storage_state import Sharing
from shared import names
from shared.consumers.identity import Consumer, Usage
from shared.kubernetes.client import Cluster
from shared.objects.resources import MCP_SERVERS, PODS, Key, Object, Resource
from tests.support.simulated import KEY, NAMESPACE, Simulation
from tests.support.toolhive import ToolHive

SINCE = datetime(2026, 11, 24, tzinfo=UTC)
WHO = Consumer("MCPServer", NAMESPACE, "near")


class Reads(Cluster):
    """Counts reads of workloads."""

    def __init__(self, simulation: Simulation) -> None:
        self.api = simulation.api
        self.count = 0

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self.count += 1
        return await self.api.get(resource, namespace, name)

    async def list_all(self, resource: Resource, selector: Any = None) -> tuple[list[Object], str]:
        return await self.api.list_all(resource, selector)


class Hosted:
    """The auth servers of a cluster: those that one MCPExternalAuthConfig describes."""

    def __init__(self, *hosts: Object, by_hand: tuple[Object, ...] = ()) -> None:
        self._hosts = hosts
        self._by_hand = by_hand

    def of_storage(self, storage: Key, namespaces: Collection[str]) -> tuple[Object, ...]:
        assert (storage, set(namespaces)) == (KEY, {NAMESPACE})
        return self._by_hand

    def hosts(self, described: Object) -> tuple[Object, ...]:
        return self._hosts if described["kind"] == "MCPExternalAuthConfig" else ()


class World:
    """A running storage with one consumer."""

    def __init__(self) -> None:
        self.simulation = Simulation()
        self.toolhive = ToolHive(self.simulation.api, self.simulation.valkey)
        self.reads = Reads(self.simulation)
        self.rollouts = CredentialRollouts(self.reads, self.find, Hosted())

    async def start(self) -> None:
        await self.simulation.ask_for(size="small")
        await self.toolhive.serve("near", NAMESPACE, "mine")
        await self.simulation.settle()
        await self.toolhive.settle()

    def find(self, who: Consumer) -> Object | None:
        return self.simulation.api.objects.get((MCP_SERVERS.plural, who.namespace, who.name))

    async def write_revision(self, text: str) -> None:
        await self.simulation.edit(
            MCP_SERVERS, "near", {"metadata": {"annotations": {names.ANNOTATION_REVISION: text}}}
        )

    async def look(self, usage: Usage, *, is_thorough: bool = False) -> list[tuple[str, bool, str]]:
        storage = {"metadata": {"name": KEY[1], "namespace": NAMESPACE}, "spec": {}}
        consumers = Sharing.of(storage, [usage]).admitted
        found = await self.rollouts.read(KEY, consumers, "r1", SINCE, is_thorough=is_thorough)
        return [(each.name, each.is_done, each.obstacle) for each in found]


def usage(*, is_terminating: bool = False) -> Usage:
    return Usage(WHO, KEY, is_terminating=is_terminating)


@pytest.fixture(name="world")
async def world_fixture() -> World:
    world = World()
    await world.start()
    return world


async def test_a_consumer_without_the_revision_waits_and_costs_no_read(world: World) -> None:
    assert await world.look(usage()) == [("MCPServer team/near", False, "it has not been restarted yet")]
    assert world.reads.count == 0


async def test_a_consumer_with_the_revision_is_followed_until_it_is_done_and_not_read_again(world: World) -> None:
    await world.write_revision("r1@2026-11-24T00:00:00Z")
    ((_, is_done, obstacle),) = await world.look(usage())
    assert not is_done
    assert obstacle.endswith("started with the former credential")
    await world.toolhive.settle()
    assert [each[1] for each in await world.look(usage())] == [True]
    read = world.reads.count
    assert [each[1] for each in await world.look(usage())] == [True]
    assert world.reads.count == read
    assert [each[1] for each in await world.look(usage(), is_thorough=True)] == [True]
    assert world.reads.count > read


async def test_a_refusal_is_reported_until_the_consumer_has_the_revision(world: World) -> None:
    world.rollouts.note_refusal(WHO, "no")
    assert [each[2] for each in await world.look(usage())] == ["no"]
    await world.write_revision("r1@2026-11-24T00:00:00Z")
    assert [each[2] for each in await world.look(usage())] != ["no"]


async def test_a_consumer_that_is_deleted_or_may_not_use_the_storage_is_not_waited_for(world: World) -> None:
    assert await world.look(usage(is_terminating=True)) == []
    assert await world.look(Usage(Consumer("MCPServer", "elsewhere", "near"), KEY)) == []


async def test_a_consumer_that_is_connected_to_another_storage_is_not_waited_for(world: World) -> None:
    await world.simulation.edit(MCP_SERVERS, "near", {"spec": {"sessionStorageRef": "other"}})
    assert await world.look(usage()) == []


CONFIG = Consumer("MCPExternalAuthConfig", NAMESPACE, "login")
RECORD = '{"by":"field","for":"all","granted":false,"made":[],"put":{},"storage":"team/mine"}'
REVISION = "r1@2026-11-24T00:00:00Z"


def host(name: str, **annotations: str) -> Object:
    """Build an MCPServer that runs an auth server, and refers to no storage."""
    metadata = {"name": name, "namespace": NAMESPACE, "uid": name, "annotations": annotations}
    return {"kind": "MCPServer", "metadata": metadata, "spec": {"authServerRef": {"name": "login"}}}


def auth_config(**annotations: str) -> Object:
    metadata = {"name": "login", "namespace": NAMESPACE, "uid": "c", "annotations": annotations}
    return {"kind": CONFIG.kind, "metadata": metadata}


async def hosted(
    world: World, *hosts: Object, consumers: tuple[Consumer, ...] = (CONFIG,), by_hand: tuple[Object, ...] = ()
) -> list[CredentialRollout]:
    """Tell how far the rotation is with the auth server that some objects run."""
    config = auth_config(**{names.ANNOTATION_INJECTION: RECORD})
    rollouts = CredentialRollouts(
        world.reads, lambda who: config if who == CONFIG else world.find(who), Hosted(*hosts, by_hand=by_hand)
    )
    return list(await rollouts.read(KEY, consumers, "r1", SINCE, is_thorough=False))


async def test_what_runs_an_auth_server_is_restarted_by_a_stamp_of_its_own(world: World) -> None:
    (bare, annotated) = await hosted(world, host("b", own="x"), host("a"))
    assert [each.consumer for each in (bare, annotated)] == [
        Consumer("MCPServer", NAMESPACE, "a"),
        Consumer("MCPServer", NAMESPACE, "b"),
    ]
    assert bare.place == StampPlace(names.ANNOTATION_AUTH_REVISION, is_bare=True)
    assert annotated.place == StampPlace(names.ANNOTATION_AUTH_REVISION)
    assert not bare.is_done


async def test_what_runs_an_auth_server_is_done_once_its_proxies_run_with_the_stamp(world: World) -> None:
    # The proxies of `near` have started with the former credential.
    (late,) = await hosted(world, host("near", **{names.ANNOTATION_AUTH_REVISION: REVISION}))
    assert late.obstacle.endswith("started with the former credential")
    for (plural, _, _), pod in world.simulation.api.objects.items():
        if plural == PODS.plural:
            pod["metadata"].setdefault("annotations", {})[names.ANNOTATION_AUTH_REVISION] = "r1"
    (done,) = await hosted(world, host("near", **{names.ANNOTATION_AUTH_REVISION: REVISION}))
    assert done.is_done


async def test_a_consumer_that_runs_an_auth_server_on_the_same_storage_restarts_once(world: World) -> None:
    found = await hosted(world, {**host("near"), "kind": "MCPServer"}, consumers=(CONFIG, WHO))
    assert [(each.consumer, each.place.annotation) for each in found] == [(WHO, names.ANNOTATION_REVISION)]


@pytest.mark.parametrize("kind", ["MCPServer", "VirtualMCPServer"])
async def test_an_object_without_workloads_of_its_own_is_still_waited_for_as_the_host_of_an_auth_server(
    world: World, kind: str
) -> None:
    """It refers to the storage with `targets: none`, and runs an auth server that keeps its data there."""
    who = Consumer(kind, NAMESPACE, "near")
    record = RECORD.replace('"all"', '"none"')
    near = {**host("near", **{names.ANNOTATION_REVISION: REVISION, names.ANNOTATION_INJECTION: record}), "kind": kind}
    objects = {CONFIG: auth_config(**{names.ANNOTATION_INJECTION: RECORD}), who: near}
    rollouts = CredentialRollouts(world.reads, objects.get, Hosted(near))
    for _ in range(2):
        found = await rollouts.read(KEY, [CONFIG, who], "r1", SINCE, is_thorough=False)
        assert [(each.consumer, each.is_done) for each in found] == [(who, True), (who, False)]
        assert found[1].place.annotation == names.ANNOTATION_AUTH_REVISION


async def test_what_runs_an_auth_server_that_somebody_connected_by_hand_is_restarted_too(world: World) -> None:
    (found,) = await hosted(world, host("a"), consumers=(), by_hand=(auth_config(),))
    assert found.consumer == Consumer("MCPServer", NAMESPACE, "a")


@pytest.mark.parametrize(
    ("labels", "created", "reported"),
    [
        pytest.param({}, "2026-11-23T00:00:00Z", [(False, frozenset())], id="from before: waited for"),
        pytest.param({}, "2026-11-24T00:00:01Z", [(True, frozenset({"10.9.9.9"}))], id="from after: spared"),
        pytest.param({"toolhive": "true"}, "2026-11-23T00:00:00Z", [], id="a consumer's"),
    ],
)
async def test_an_older_pod_of_no_consumer_is_waited_for_and_a_newer_one_is_not(
    world: World, labels: dict[str, str], created: str, reported: Any
) -> None:
    metadata = {
        "name": "theirs",
        "namespace": NAMESPACE,
        "labels": {names.LABEL_CONSUMER_OF: KEY[1], **labels},
        "creationTimestamp": created,
    }
    status = {"phase": "Running", "podIPs": [{"ip": "10.9.9.9"}]}
    await world.simulation.api.create(PODS, {"metadata": metadata, "status": status})
    found = await world.rollouts.read(KEY, [WHO], "r1", SINCE, is_thorough=False)
    assert [(each.is_done, each.addresses) for each in found if each.name == "Pod team/theirs"] == reported
