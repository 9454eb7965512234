"""Where others rewrite what the reconciler writes, it says so, writes no more, and everything else goes on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from reconciler.manifests.instance_spec import Image
from reconciler.manifests.valkey_pods import ValkeyPods
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.state.write_outcome import LONGEST_PAUSE, QUICK_TRIES
from shared import names
from shared.objects.resources import (
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICES,
    SESSION_STORAGES,
    STATEFUL_SETS,
    Object,
    Resource,
)
from tests.support.simulated import KEY, SETTINGS, Simulation

Rewrite = Callable[[Object], None]
MIRROR: Final = "mirror.example/"
PASSES: Final = 30


def image(pod: Object) -> None:
    container = pod["containers"][0]
    container["image"] = MIRROR + container["image"].removeprefix(MIRROR)


def pull_policy(pod: Object) -> None:
    pod["containers"][0]["imagePullPolicy"] = "Always"


def environment(pod: Object) -> None:
    pod["containers"][0]["env"] = [{"name": "TZ", "value": "UTC"}]


def resources(pod: Object) -> None:
    pod["containers"][0]["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"}}


def init_container(pod: Object) -> None:
    pod["initContainers"] = [{"name": "agent", "image": "agent.example/init"}]


def sidecar(pod: Object) -> None:
    if len(pod["containers"]) == 1:
        pod["containers"].append({"name": "proxy", "image": "mesh.example/proxy"})


def host_network(pod: Object) -> None:
    pod["hostNetwork"] = True


REWRITES: Final = [image, pull_policy, environment, resources, init_container, sidecar, host_network]


def house_rules(*rewrites: Rewrite) -> Callable[[Resource, Object], Object]:
    """Build a policy that changes every StatefulSet on its way into the API server."""

    def admit(resource: Resource, obj: Object) -> Object:
        if resource is not STATEFUL_SETS:
            return obj
        admitted = copy.deepcopy(obj)
        for rewrite in rewrites:
            rewrite(admitted["spec"]["template"]["spec"])
        return admitted

    return admit


async def started(*rewrites: Rewrite, size: str = "large") -> Simulation:
    simulation = Simulation()
    simulation.api.admit = house_rules(*rewrites)
    await simulation.ask_for(size=size)
    await simulation.settle()
    return simulation


def requests(simulation: Simulation) -> list[str]:
    """Count requests from now on, also those that change nothing: `FakeApi.writes` leaves these out."""
    asked: list[str] = []

    def ask(call: str) -> None:
        asked.append(call)

    simulation.api.refuse = ask
    return asked


async def assert_at_rest(simulation: Simulation) -> None:
    asked = requests(simulation)
    for _ in range(PASSES):
        simulation.passed += timedelta(seconds=10)
        await simulation.reconcile()
    assert asked == []


def condition(simulation: Simulation, kind: str = "ObjectsUnaltered") -> Object:
    return next((each for each in simulation.status["conditions"] if each["type"] == kind), {})


@pytest.mark.parametrize("rewrite", REWRITES)
async def test_a_storage_whose_sets_a_policy_rewrites_comes_to_rest(rewrite: Rewrite) -> None:
    simulation = await started(rewrite)
    assert simulation.status["phase"] == "Ready"
    await assert_at_rest(simulation)


async def test_a_policy_that_comes_later_costs_one_write_of_each_object() -> None:
    simulation = await started()
    simulation.api.admit = house_rules(*REWRITES)
    for number in range(3):
        set_name = names.valkey_instance(KEY[1], number)
        await simulation.edit(STATEFUL_SETS, set_name, {"metadata": {"annotations": {"touched": "by somebody"}}})
    asked = requests(simulation)
    for _ in range(3):
        await simulation.reconcile()
    assert len([call for call in asked if "statefulsets/" in call]) == 3
    assert condition(simulation)["reason"] == "AddedTo"
    await assert_at_rest(simulation)


async def test_the_condition_names_what_differs_and_who_did_it() -> None:
    simulation = await started(image, pull_policy)
    found = condition(simulation)
    assert (found["status"], found["reason"]) == ("False", "Rewritten")
    assert "an admission webhook or policy changes" in found["message"]
    assert "spec.template.spec.containers.valkey.image" in found["message"]
    assert "StatefulSet mine-valkey-0" in found["message"]
    assert "Rewritten" in simulation.events


async def test_what_opens_a_storage_to_others_is_told_loudly() -> None:
    simulation = await started(sidecar, host_network)
    found = condition(simulation)
    assert found["reason"] == "AddedTo"
    assert "spec.template.spec.containers.proxy (added)" in found["message"]
    assert "can get at this storage's data and passwords" in found["message"]
    assert "AddedTo" in simulation.events


async def test_the_condition_goes_with_the_policy() -> None:
    simulation = await started(image)
    simulation.api.admit = house_rules()
    simulation.settings = replace(SETTINGS, pods=ValkeyPods(priority_class_name="high"))
    simulation.start()
    await simulation.settle()
    assert condition(simulation) == {}


async def test_a_new_leader_writes_each_object_once_at_most() -> None:
    simulation = await started(*REWRITES)
    for _ in range(3):
        simulation.start()
        asked = requests(simulation)
        await simulation.settle()
        assert len([call for call in asked if "statefulsets/" in call]) == 3
        await assert_at_rest(simulation)


async def test_another_image_reaches_every_instance_that_a_policy_rewrites() -> None:
    simulation = await started(*REWRITES)
    former = {pod["metadata"]["uid"] for pod in simulation.kubelets.pods.values()}
    simulation.settings = replace(SETTINGS, image=Image("registry.example/valkey:10", "IfNotPresent"))
    simulation.start()
    for _ in range(3):
        await simulation.settle()
    pods = simulation.kubelets.pods.values()
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {f"{MIRROR}registry.example/valkey:10"}
    assert former.isdisjoint(pod["metadata"]["uid"] for pod in pods)
    assert simulation.status["phase"] == "Ready"
    await assert_at_rest(simulation)


async def test_a_drain_moves_the_primary_of_a_storage_that_a_policy_rewrites() -> None:
    simulation = await started(*REWRITES)
    before = simulation.status["primary"]
    simulation.nodes = KubernetesNodes(frozenset({"host-1", "host-2"}), frozenset({"host-0"}))
    await simulation.settle()
    assert simulation.status["primary"] != before
    assert simulation.status["lastFailover"]["reason"] == "NodeIsDrained"


@pytest.mark.parametrize("size", ["small", "medium", "large"])
async def test_a_change_of_size_ends_where_a_policy_rewrites(size: str) -> None:
    simulation = await started(*REWRITES, size="large" if size == "small" else "small")
    await simulation.ask_for(size=size)
    for _ in range(4):
        await simulation.settle()
    assert (simulation.status["size"], simulation.status["phase"]) == (size, "Ready")


async def test_a_controller_that_changes_an_object_back_is_not_fought_for_ever() -> None:
    simulation = await started()

    async def change_back() -> None:
        if (simulation.find(NETWORK_POLICIES, "mine-valkey") or {})["spec"]["policyTypes"] != ["Ingress"]:
            await simulation.edit(NETWORK_POLICIES, "mine-valkey", {"spec": {"policyTypes": ["Ingress"]}})

    asked = requests(simulation)
    for _ in range(60):
        await change_back()
        await simulation.reconcile()
        simulation.passed += timedelta(seconds=1)
    repairs = asked.count("apply networkpolicies/mine-valkey")
    assert QUICK_TRIES <= repairs < 10
    await change_back()
    await simulation.reconcile()
    assert condition(simulation)["reason"] == "Rewritten"
    assert "NetworkPolicy mine-valkey" in condition(simulation)["message"]
    simulation.passed += LONGEST_PAUSE
    await simulation.settle()
    assert (simulation.find(NETWORK_POLICIES, "mine-valkey") or {})["spec"]["policyTypes"] == ["Ingress", "Egress"]


async def test_an_auth_secret_that_a_policy_adds_to_holds_nothing_up() -> None:
    simulation = Simulation()

    def admit(resource: Resource, obj: Object) -> Object:
        return {**obj, "data": {**obj["data"], "injected": "eA=="}} if resource is SECRETS else obj

    simulation.api.admit = admit
    await simulation.ask_for(size="large")
    await simulation.settle()
    assert simulation.status["phase"] == "Ready"
    assert condition(simulation)["reason"] == "AddedTo"
    password = simulation.secret("mine-auth")["password"]
    assert password not in str(simulation.status)
    await assert_at_rest(simulation)
    await simulation.edit(SESSION_STORAGES, KEY[1], {"metadata": {"annotations": {names.ANNOTATION_SWITCHOVER: "now"}}})
    await simulation.settle()
    assert simulation.status["lastFailover"]["reason"] == "Asked"


async def test_labels_that_a_policy_takes_away_from_pods_are_not_written_for_ever() -> None:
    simulation = Simulation()

    def admit(resource: Resource, obj: Object) -> Object:
        if resource is not PODS:
            return obj
        labels = {key: value for key, value in obj["metadata"]["labels"].items() if key != names.LABEL_ROLE}
        return {**obj, "metadata": {**obj["metadata"], "labels": labels}}

    simulation.api.admit = admit
    await simulation.ask_for(size="small")
    await simulation.settle()
    await assert_at_rest(simulation)


async def test_a_service_whose_labels_a_policy_strips_is_still_found() -> None:
    simulation = Simulation()

    def admit(resource: Resource, obj: Object) -> Object:
        return {**obj, "metadata": {**obj["metadata"], "labels": {}}} if resource is SERVICES else obj

    simulation.api.admit = admit
    await simulation.ask_for(size="small")
    await simulation.settle()
    assert simulation.status["phase"] == "Ready"
    assert condition(simulation)["reason"] == "Rewritten"
    assert simulation.find(SERVICES, "mine-valkey") is not None
