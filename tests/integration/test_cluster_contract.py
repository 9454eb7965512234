"""The API server in memory behaves like a real one wherever other tests rely on it: each test runs on both."""

from __future__ import annotations

import asyncio
import copy
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.actions.kubernetes import Replace
from reconciler.apply import passwords
from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.manifests import disruption_budget, network_policy, secrets, services, valkey_config
from reconciler.manifests.instance_spec import Image, InstanceSpec
from reconciler.manifests.network_policy import Peers
from reconciler.manifests.network_policy_settings import NetworkPolicySettings
from reconciler.manifests.stateful_set import stateful_set
from reconciler.manifests.storage import Inherited, Storage
from reconciler.manifests.valkey_pods import ValkeyPods
from reconciler.plan.drift import differences, has_additions, is_covered, repair
from reconciler.state.instance import Instance
from reconciler.state.primary_service import IPV4
from shared import errors
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.names import FIELD_MANAGER
from shared.objects.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    NAMESPACES,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Object,
    Resource,
)
from shared.session_storage.size_settings import parse_sizes
from shared.session_storage.sizes import PRESETS, Size
from tests.support.fakes import FakeApi
from tests.support.storages import primary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_numbers = itertools.count(1)


@pytest.fixture(params=["in memory", "real"], name="api")
async def api_fixture(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    if request.param == "in memory":
        yield FakeApi()
        return
    kubeconfig: Path = request.getfixturevalue("kubeconfig")
    async with await Cluster.connect(user_agent="tests", kubeconfig=str(kubeconfig)) as cluster:
        yield cluster


@pytest.fixture(name="team")
async def team_fixture(api: Cluster) -> AsyncIterator[str]:
    name = f"contract-{next(_numbers)}"
    await api.create(NAMESPACES, {"metadata": {"name": name}})
    yield name
    await api.delete(NAMESPACES, "", name)


class Owned(Storage):
    """Metadata with an existing ConfigMap as owner: Kubernetes would delete objects of an owner that does not exist."""

    def metadata(self, name: str) -> Object:
        metadata = super().metadata(name)
        (owner,) = metadata["ownerReferences"]
        existing = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner"}
        return metadata | {"ownerReferences": [owner | existing]}


def config(team: str, name: str = "a", **fields: Any) -> Object:
    return {"metadata": {"namespace": team, "name": name}, **fields}


def version(obj: Object) -> str:
    text: str = obj["metadata"]["resourceVersion"]
    return text


def asked(obj: Object) -> Object:
    """Return an object without what controllers add: a version, field owners and a status."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in {"resourceVersion", "managedFields"}}
    return {**obj, "metadata": metadata, "status": None}


async def test_a_created_object_can_be_read_and_has_an_identity(api: Cluster, team: str) -> None:
    made = await api.create(CONFIG_MAPS, config(team, data={"k": "v"}))
    assert await api.get(CONFIG_MAPS, team, "a") == made
    assert (made["apiVersion"], made["kind"], made["data"]) == ("v1", "ConfigMap", {"k": "v"})
    assert all(made["metadata"][field] for field in ("uid", "creationTimestamp", "resourceVersion"))


async def test_an_absent_object_is_not_found(api: Cluster, team: str) -> None:
    with pytest.raises(errors.NotFound):
        await api.get(CONFIG_MAPS, team, "a")
    with pytest.raises(errors.NotFound):
        await api.replace(CONFIG_MAPS, config(team, data={}))
    with pytest.raises(errors.NotFound):
        await api.patch(CONFIG_MAPS, team, "a", [], field_manager="test")


async def test_a_name_can_be_taken_only_once(api: Cluster, team: str) -> None:
    await api.create(CONFIG_MAPS, config(team))
    with pytest.raises(errors.AlreadyExists):
        await api.create(CONFIG_MAPS, config(team))


async def test_a_replacement_needs_the_version_that_was_read(api: Cluster, team: str) -> None:
    first = await api.create(CONFIG_MAPS, config(team, data={"k": "1"}))
    second = await api.replace(CONFIG_MAPS, first | {"data": {"k": "2"}})
    assert int(version(second)) > int(version(first))
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    with pytest.raises(errors.Conflict):
        await api.replace(CONFIG_MAPS, first | {"data": {"k": "3"}})


async def test_a_replacement_that_changes_nothing_is_no_write(api: Cluster, team: str) -> None:
    made = await api.create(CONFIG_MAPS, config(team, data={"k": "1"}))
    assert version(await api.replace(CONFIG_MAPS, made)) == version(made)


async def test_applying_creates_and_applying_again_is_no_write(api: Cluster, team: str) -> None:
    made = await api.apply(CONFIG_MAPS, config(team, data={"k": "1"}), field_manager="ours")
    again = await api.apply(CONFIG_MAPS, config(team, data={"k": "1"}), field_manager="ours")
    assert version(again) == version(made)


async def test_each_manager_owns_what_it_applied_and_no_more(api: Cluster, team: str) -> None:
    await api.apply(CONFIG_MAPS, config(team, data={"ours": "1", "dropped": "1"}), field_manager="ours")
    await api.apply(CONFIG_MAPS, config(team, data={"theirs": "1"}), field_manager="theirs")
    result = await api.apply(CONFIG_MAPS, config(team, data={"ours": "2"}), field_manager="ours")
    assert result["data"] == {"ours": "2", "theirs": "1"}


async def test_applying_restores_a_field_that_somebody_edited(api: Cluster, team: str) -> None:
    made = await api.apply(CONFIG_MAPS, config(team, data={"k": "ours"}), field_manager="ours")
    await api.replace(CONFIG_MAPS, made | {"data": {"k": "edited", "more": "x"}})
    result = await api.apply(CONFIG_MAPS, config(team, data={"k": "ours"}), field_manager="ours")
    assert result["data"] == {"k": "ours", "more": "x"}


async def test_applying_replaces_a_selector_whole(api: Cluster, team: str) -> None:
    owner = await api.create(CONFIG_MAPS, config(team, "owner"))
    service = services.headless_service(Owned("mine", team, owner["metadata"]["uid"]))
    made = await api.apply(SERVICES, service, field_manager="ours")
    edited = copy.deepcopy(made)
    edited["spec"]["selector"]["stranger"] = "yes"
    assert not is_covered(service, await api.replace(SERVICES, edited))
    result = await api.apply(SERVICES, service, field_manager="ours")
    assert result["spec"]["selector"] == service["spec"]["selector"]


async def test_applying_replaces_the_rules_of_a_policy_whole(api: Cluster, team: str) -> None:
    owner = await api.create(CONFIG_MAPS, config(team, "owner"))
    policy = network_policy.network_policy(Owned("mine", team, owner["metadata"]["uid"]), Peers("x", {"a": "b"}))
    made = await api.apply(NETWORK_POLICIES, policy, field_manager="ours")
    edited = copy.deepcopy(made)
    edited["spec"]["ingress"].append({})
    edited["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"]["more"] = "x"
    await api.replace(NETWORK_POLICIES, edited)
    result = await api.apply(NETWORK_POLICIES, policy, field_manager="ours")
    assert result["spec"] == made["spec"]


async def test_applying_with_an_old_version_changes_nothing(api: Cluster, team: str) -> None:
    made = await api.apply(CONFIG_MAPS, config(team, data={"k": "1"}), field_manager="one")
    newer = await api.apply(CONFIG_MAPS, config(team, data={"k": "2"}), field_manager="one")
    metadata = {"namespace": team, "name": made["metadata"]["name"]}
    stale = {"metadata": {**metadata, "resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"k": "3"}}
    with pytest.raises(errors.Conflict):
        await api.apply(CONFIG_MAPS, stale, field_manager="one")
    known = {"metadata": {**metadata, "resourceVersion": newer["metadata"]["resourceVersion"]}, "data": {"k": "3"}}
    assert (await api.apply(CONFIG_MAPS, known, field_manager="one"))["data"] == {"k": "3"}


async def test_applying_with_the_uid_of_another_changes_nothing(api: Cluster, team: str) -> None:
    made = await api.create(CONFIG_MAPS, config(team, data={"k": "1"}))
    for name, error in (("a", errors.Rejected), ("absent", errors.Conflict)):
        stale = {"metadata": {"namespace": team, "name": name, "uid": "of-another"}, "data": {"k": "2"}}
        with pytest.raises(error):
            await api.apply(CONFIG_MAPS, stale, field_manager="ours")
    assert await api.get(CONFIG_MAPS, team, "a") == made


async def test_a_status_can_be_written_only_to_an_existing_object(api: Cluster, team: str) -> None:
    body = config(team, status={"replicas": 0})
    with pytest.raises(errors.NotFound):
        await api.apply(STATEFUL_SETS, body, field_manager="ours", subresource="status")


async def test_a_patch_is_all_or_nothing(api: Cluster, team: str) -> None:
    made = await api.create(CONFIG_MAPS, config(team, data={"k": "1"}))
    add = {"op": "add", "path": "/data/more", "value": "x"}
    with pytest.raises(errors.Rejected):
        await api.patch(
            CONFIG_MAPS, team, "a", [add, {"op": "test", "path": "/data/k", "value": "2"}], field_manager="test"
        )
    assert await api.get(CONFIG_MAPS, team, "a") == made
    right = {"op": "test", "path": "/metadata/resourceVersion", "value": version(made)}
    result = await api.patch(CONFIG_MAPS, team, "a", [right, add], field_manager="test")
    assert result["data"] == {"k": "1", "more": "x"}


async def test_a_deletion_by_uid_spares_another_object_of_the_name(api: Cluster, team: str) -> None:
    made = await api.create(CONFIG_MAPS, config(team))
    with pytest.raises(errors.Conflict):
        await api.delete(CONFIG_MAPS, team, "a", uid="of-another")
    await api.delete(CONFIG_MAPS, team, "a", uid=made["metadata"]["uid"])
    await api.delete(CONFIG_MAPS, team, "a")
    with pytest.raises(errors.NotFound):
        await api.get(CONFIG_MAPS, team, "a")


async def test_an_object_that_is_created_again_has_another_identity(api: Cluster, team: str) -> None:
    first = await api.create(CONFIG_MAPS, config(team))
    await api.delete(CONFIG_MAPS, team, "a")
    assert (await api.create(CONFIG_MAPS, config(team)))["metadata"]["uid"] != first["metadata"]["uid"]


async def test_lists_can_be_limited_by_namespace_labels_and_name(api: Cluster, team: str) -> None:
    labelled = {"metadata": {"namespace": team, "name": "b", "labels": {"x": "y", "z": "1"}}}
    await api.create(SECRETS, config(team))
    await api.create(SECRETS, labelled)

    async def listed(selector: Selector) -> list[str]:
        items, _ = await api.list_all(SECRETS, selector)
        return [item["metadata"]["name"] for item in items if item["metadata"]["namespace"] == team]

    assert await listed(Selector(team)) == ["a", "b"]
    assert await listed(Selector(labels="x=y")) == ["b"]
    assert await listed(Selector(labels="x=y,z=2")) == []
    assert await listed(Selector(team, fields="metadata.name=a")) == ["a"]


async def test_a_watch_reports_what_happens_after_its_list(api: Cluster, team: str) -> None:
    await api.create(SECRETS, config(team, "before"))
    _, position = await api.list_all(SECRETS, Selector(team))
    made = await api.create(SECRETS, config(team))
    changed = await api.replace(SECRETS, made | {"data": {"k": "eA=="}})
    await api.delete(SECRETS, team, "a")
    events: list[Object] = []
    async with asyncio.timeout(10):
        async for event in api.watch(SECRETS, Selector(team), position):
            events.append(event)
            if len(events) == 3:
                break
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert [event["object"]["metadata"]["uid"] for event in events] == [made["metadata"]["uid"]] * 3
    assert [version(event["object"]) for event in events[:2]] == [version(made), version(changed)]
    assert int(version(events[2]["object"])) > int(version(changed))


async def test_an_informers_cache_ends_equal_to_the_api_server(api: Cluster, team: str) -> None:
    changed = asyncio.Event()
    informer = Informer(api, SECRETS, lambda _old, _new: changed.set(), selector=Selector(team))
    task = asyncio.ensure_future(informer.run())
    async with asyncio.timeout(10):
        await informer.synced.wait()
        for name in ("a", "b", "c"):
            informer.remember(await api.create(SECRETS, config(team, name)))
        await api.delete(SECRETS, team, "b")
        last = await api.create(SECRETS, config(team, "d"))
        while informer.get((team, "d")) != last or informer.get((team, "b")):
            changed.clear()
            await changed.wait()
    task.cancel()
    await asyncio.wait({task})
    items, _ = await api.list_all(SECRETS, Selector(team))
    assert {name for _, name in informer.objects} == {item["metadata"]["name"] for item in items} == {"a", "c", "d"}


REQUIREMENTS = [{"key": "zone", "operator": "In", "values": ["a"]}, {"key": "pool", "operator": "Exists", "values": []}]
NEEDED = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": REQUIREMENTS}]}}
NEAR = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "shop"}}}
EVERYTHING_SAID = ValkeyPods.model_validate(
    {
        "scheduling": {
            "nodeSelector": {"pool": "stateful"},
            "tolerations": [
                {"key": "pool", "operator": "Equal", "value": "", "effect": "NoSchedule"},
                {"key": "gone", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
                {"operator": "Exists"},
            ],
            "affinity": {
                "nodeAffinity": NEEDED,
                "podAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": NEAR}]
                },
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [NEAR]},
            },
        },
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "regcred"}],
        "podLabels": {"sidecar.istio.io/inject": "false", "empty": ""},
        "podAnnotations": {"linkerd.io/inject": "disabled"},
        "cpuLimit": "1500m",
        "userIds": "cluster",
        "podSecurityContext": {"fsGroup": 1000650000, "supplementalGroups": [7]},
    }
)
RULES = NetworkPolicySettings.model_validate(
    {
        "extraIngress": [
            {},
            {"from": [{"podSelector": {}, "namespaceSelector": {"matchLabels": {}}}], "ports": []},
            {"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}], "ports": [{}]},
        ],
        "extraEgress": [
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 443}]},
            {"to": [], "ports": [{"protocol": "UDP", "port": "dns"}, {"port": 8000, "endPort": 8010}]},
        ],
    }
)
HANDED_DOWN = Inherited({"team": "a", "empty": ""}, {"example.com/note": "x"})
IMAGE = Image("registry.example/valkey:9", "IfNotPresent")
ODD_SIZES = parse_sizes(
    '{"small":{"disk":"1Ti","replicas":3},"medium":{"memory":"1536Mi","cpu":"1","disk":"1Ti"},"large":{"cpu":1.5}}'
)


async def test_what_a_platform_team_says_shows_no_drift_as_stored(api: Cluster, team: str) -> None:
    """Whatever the API server adds, drops or spells otherwise would cost a write in every pass."""
    owner = await api.create(CONFIG_MAPS, config(team, "owner"))
    storage = Owned("mine", team, owner["metadata"]["uid"], HANDED_DOWN)
    copied = secrets.pull_secret(
        storage,
        {
            "metadata": {"name": "regcred"},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": "e30="},
        },
    )
    made = [
        (SECRETS, copied),
        (NETWORK_POLICIES, network_policy.network_policy(storage, Peers("x", {"a": "b"}), (), RULES)),
        (SERVICES, services.headless_service(storage)),
        (CONFIG_MAPS, valkey_config.config_map(storage, 0, [0], "10.0.0.9")),
        (DISRUPTION_BUDGETS, disruption_budget.primary_budget(storage)),
        *(
            (STATEFUL_SETS, stateful_set(storage, spec, IMAGE, EVERYTHING_SAID))
            for index, size in enumerate(Size)
            for spec in [
                InstanceSpec(
                    "mine",
                    team,
                    index,
                    size,
                    ODD_SIZES.of(size).volume_gib,
                    is_spread=True,
                    sizes=ODD_SIZES,
                    storage_class="fast",
                )
            ]
        ),
    ]
    for resource, desired in made:
        stored = await api.apply(resource, desired, field_manager=FIELD_MANAGER)
        assert list(differences(desired, stored)) == [], desired
        assert asked(await api.apply(resource, desired, field_manager=FIELD_MANAGER)) == asked(stored)


async def test_nothing_that_was_said_is_left_once_it_is_said_no_more(api: Cluster, team: str) -> None:
    owner = await api.create(CONFIG_MAPS, config(team, "owner"))
    uid, spec = owner["metadata"]["uid"], InstanceSpec("mine", team, 0, Size.SMALL, 0)
    before = stateful_set(Owned("mine", team, uid, HANDED_DOWN), spec, IMAGE, EVERYTHING_SAID)
    plain = stateful_set(Owned("mine", team, uid), spec, IMAGE)
    stored = await api.apply(STATEFUL_SETS, before, field_manager=FIELD_MANAGER)
    step = repair(STATEFUL_SETS, plain, stored)
    assert isinstance(step, Replace)
    answer = await api.replace(STATEFUL_SETS, step.obj)
    assert list(differences(plain, answer)) == []
    pod = answer["spec"]["template"]
    assert pod["metadata"]["labels"].keys() == plain["spec"]["template"]["metadata"]["labels"].keys()
    assert not {"tolerations", "imagePullSecrets", "affinity", "priorityClassName"} & pod["spec"].keys()
    assert "team" not in answer["metadata"]["labels"]


def children(storage: Storage, size: Size) -> list[tuple[Resource, Object]]:
    drawn = {key: passwords.generate() for key in identities.PASSWORD_KEYS}
    spec = InstanceSpec(
        storage.name, storage.namespace, 0, size, PRESETS[size].disk_gib if PRESETS[size].is_persistent else 0
    )
    return [
        (SECRETS, secrets.auth_secret(storage, KeyRing(drawn))),
        (SECRETS, secrets.connection_secret(storage, drawn["password"])),
        (CONFIG_MAPS, valkey_config.config_map(storage, 0, range(PRESETS[size].replicas), "10.0.0.9")),
        (NETWORK_POLICIES, network_policy.network_policy(storage, Peers("x", {"a": "b"}))),
        (STATEFUL_SETS, stateful_set(storage, spec, IMAGE)),
        (SERVICES, services.primary_service(storage)),
        (SERVICES, services.headless_service(storage)),
        (SERVICES, services.replicas_service(storage)),
        *((ENDPOINT_SLICES, each) for each in services.primary_slices(storage, (IPV4,), primary(0, size))),
        *((ENDPOINT_SLICES, each) for each in services.primary_slices(storage, (IPV4,), Instance(0))),
        (DISRUPTION_BUDGETS, disruption_budget.primary_budget(storage)),
        (DISRUPTION_BUDGETS, disruption_budget.replicas_budget(storage)),
    ]


@pytest.mark.parametrize("size", Size)
async def test_our_objects_as_stored_show_no_drift(api: Cluster, team: str, size: Size) -> None:
    """A default, a dropped empty field or a rewritten quantity would cost a write in every pass."""
    owner = await api.create(CONFIG_MAPS, config(team, "owner"))
    for resource, desired in children(Owned("mine", team, owner["metadata"]["uid"]), size):
        stored = await api.apply(resource, desired, field_manager=FIELD_MANAGER)
        assert is_covered(desired, stored), desired
        assert asked(await api.apply(resource, desired, field_manager=FIELD_MANAGER)) == asked(stored)


ADDITIONS: dict[str, Object] = {
    "Secret": {"data": {"foreign": "eA=="}},
    "ConfigMap": {"data": {"foreign": "x"}},
    "Service": {
        "spec": {
            "externalIPs": ["192.0.2.1"],
            "ports": [{"name": "foreign", "port": 1, "protocol": "TCP", "targetPort": 1}],
        }
    },
    "StatefulSet": {
        "spec": {
            "template": {
                "spec": {
                    "containers": [{"name": "foreign", "image": "x"}],
                    "initContainers": [{"name": "foreign-first", "image": "x"}],
                    "hostNetwork": True,
                    "volumes": [{"name": "foreign", "emptyDir": {}}],
                }
            }
        }
    },
}


def added(obj: Object, more: Object) -> Object:
    """Add fields to an object, as an edit by hand does."""
    result = copy.deepcopy(obj)
    for key, value in more.items():
        if isinstance(value, dict):
            result[key] = added(result.get(key, {}), value)
        else:
            result[key] = [*result.get(key, []), *value] if isinstance(value, list) else value
    return result


@pytest.mark.parametrize("size", Size)
async def test_a_replacement_removes_what_somebody_added_and_leaves_no_drift(
    api: Cluster, team: str, size: Size
) -> None:
    owner = await api.create(CONFIG_MAPS, config(team, "owner"))
    for resource, desired in children(Owned("mine", team, owner["metadata"]["uid"]), size):
        stored = await api.apply(resource, desired, field_manager=FIELD_MANAGER)
        if more := ADDITIONS.get(resource.kind):
            edited = await api.replace(resource, added(stored, more))
            assert has_additions(desired, edited), desired
            content = {key: value for key, value in desired.items() if key != "metadata"}
            repaired = await api.replace(resource, edited | content)
            assert not has_additions(desired, repaired), desired
            assert is_covered(desired, repaired), desired
            assert asked(await api.apply(resource, desired, field_manager=FIELD_MANAGER)) == asked(repaired)
