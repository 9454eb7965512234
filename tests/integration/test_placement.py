"""A storage of an installation that says everything of Valkey's pods becomes what it should be, and then rests.

What the installation says later reaches the storage too.

The test has a control plane of its own (15 s), because half of a chart can exist only once in a cluster.
"""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest
import valkey

from deploy.local.loopback import ControlPlane
from shared import names
from shared.objects.resources import NAMESPACES, NETWORK_POLICIES, PODS, SECRETS, STATEFUL_SETS, VOLUME_CLAIMS, Object
from tests.integration.chart.rules import OPENSHIFT_CRD
from tests.integration.control_plane import Kubectl, running_control_plane
from tests.integration.installation import (
    NAMESPACE,
    environment_of,
    install_chart,
    install_toolhive_crds,
    running_processes,
)
from tests.integration.loopback import free_port
from tests.integration.processes import Process, eventually, running_kubelet
from tests.integration.storages import CHILD_KINDS, await_ready, condition, read, secret_value, storage
from tests.support.audit import AuditLog

TEAM = "team"
FIRST_ADDRESS = 40_000
IDLE_SECONDS = 22.0
"""Seconds; more than twice the interval between passes over a healthy storage."""
REQUIRED = "valkey.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
REQUIREMENT = f"{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0]"
VALUES = (
    "watchNamespaces[0]=team",
    "valkey.storageClassName=slow",
    "valkey.imagePullSecrets[0].name=regcred",
    "valkey.nodeSelector.pool=stateful",
    "valkey.tolerations[0].key=pool",
    "valkey.tolerations[0].operator=Equal",
    "valkey.tolerations[0].value=stateful",
    "valkey.tolerations[0].effect=NoSchedule",
    f"{REQUIREMENT}.key=pool",
    f"{REQUIREMENT}.operator=Exists",
    "valkey.podLabels.cost=c42",
    "valkey.podAnnotations.note=platform",
    "valkey.cpuLimit=2",
    "valkey.podSecurityContext.fsGroup=1000650000",
    "valkey.networkPolicy.extraIngress[0].from[0].namespaceSelector.matchLabels.team=backup",
    "valkey.networkPolicy.extraIngress[0].ports[0].port=6379",
    "valkey.networkPolicy.extraEgress[0].ports[0].port=1053",
    "valkey.networkPolicy.extraEgress[0].ports[0].protocol=UDP",
    "valkey.sizes.medium.memory=768Mi",
    "valkey.sizes.medium.disk=7Gi",
    "valkey.sizes.medium.replicas=3",
)
INHERITED = {
    "labels": {"owner": "ann", "app.kubernetes.io/part-of": "shop"},
    "annotations": {"example.com/ticket": "7"},
}
COPY = "mine.pull.regcred"


def credentials(text: str) -> Object:
    data = {
        ".dockerconfigjson": base64.b64encode(json.dumps({"auths": {"r.example": {"auth": text}}}).encode()).decode()
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "regcred", "namespace": NAMESPACE},
        "type": "kubernetes.io/dockerconfigjson",
        "data": data,
    }


@pytest.fixture(scope="module")
def own_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path_factory.mktemp("placed") / "control-plane") as control_plane:
        yield control_plane


@pytest.fixture(scope="module")
def audit_log(own_control_plane: ControlPlane) -> AuditLog:
    return AuditLog(own_control_plane.audit_log)


@pytest.fixture(scope="module")
def kubectl(own_control_plane: ControlPlane) -> Kubectl:
    kubectl = Kubectl(own_control_plane.kubeconfig)
    install_toolhive_crds(kubectl)
    kubectl("create", "namespace", TEAM)
    kubectl("create", "namespace", NAMESPACE)
    kubectl.apply(OPENSHIFT_CRD, credentials("first"))
    return kubectl


@pytest.fixture(scope="module")
def processes(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Process]]:
    port, directory = free_port(), tmp_path_factory.mktemp("processes")
    objects = install_chart(kubectl, port, *VALUES)
    with (
        running_kubelet(kubectl.kubeconfig, tmp_path_factory.mktemp("kubelet"), FIRST_ADDRESS),
        running_processes(objects, kubectl, port, directory) as made,
    ):
        yield made


@pytest.fixture(scope="module", autouse=True)
def mine(kubectl: Kubectl, processes: dict[str, Process]) -> None:
    """Have a storage of one's own with everything that a storage can say."""
    spec = {"size": "medium", "storageClassName": "fast", "inheritedMetadata": INHERITED}

    def is_stored() -> bool:
        kubectl.api.apply(storage("mine", TEAM, **spec))
        return True

    eventually(is_stored, what="the webhook is called")
    await_ready(kubectl, TEAM, "mine")
    eventually(lambda: condition(kubectl, TEAM, "mine", "Redundant").get("status") == "True", what="three instances")


def pods(kubectl: Kubectl) -> list[Object]:
    return kubectl.api.list(PODS, TEAM, "toolhive.stacklok.dev/storage=mine")


def primary_client(kubectl: Kubectl) -> valkey.Valkey:
    """Connect to the instance that clients reach, with their password."""
    (endpoint,) = read(kubectl, "endpointslice", "mine-valkey", TEAM)["endpoints"]
    password = secret_value(kubectl, TEAM, "mine-connection", names.KEY_REDIS_PASSWORD)
    return valkey.Valkey(host=endpoint["addresses"][0], password=password, socket_timeout=5)


def test_every_pod_runs_as_the_values_say(kubectl: Kubectl) -> None:
    found = pods(kubectl)
    assert len(found) == 3
    for pod in found:
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert spec["nodeSelector"] == {"pool": "stateful", "kubernetes.io/os": "linux"}
        toleration = {"key": "pool", "operator": "Equal", "value": "stateful", "effect": "NoSchedule"}
        assert toleration in spec["tolerations"]
        assert spec["affinity"].keys() == {"nodeAffinity", "podAntiAffinity"}
        assert spec["imagePullSecrets"] == [{"name": COPY}]
        assert container["resources"] == {
            "requests": {"cpu": "250m", "memory": "768Mi"},
            "limits": {"cpu": "2", "memory": "768Mi"},
        }
        labels, annotations = pod["metadata"]["labels"], pod["metadata"]["annotations"]
        assert (labels["cost"], labels["owner"]) == ("c42", "ann")
        assert (labels["sidecar.istio.io/inject"], labels["istio.io/dataplane-mode"]) == ("false", "none")
        assert (annotations["linkerd.io/inject"], annotations["note"]) == ("disabled", "platform")
        assert not INHERITED["annotations"].keys() & annotations.keys()


def test_the_ids_are_left_to_openshift_but_for_those_that_a_value_names(kubectl: Kubectl) -> None:
    for pod in pods(kubectl):
        context = pod["spec"]["securityContext"]
        assert context["fsGroup"] == 1000650000
        assert not {"runAsUser", "runAsGroup"} & context.keys()


def test_disks_have_the_class_of_the_storage_and_the_size_of_the_values(kubectl: Kubectl) -> None:
    for each in kubectl.api.list(STATEFUL_SETS, TEAM):
        (claim,) = each["spec"]["volumeClaimTemplates"]
        assert claim["spec"]["storageClassName"] == "fast"
        assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"
    claims = kubectl.api.list(VOLUME_CLAIMS, TEAM)
    assert len(claims) == 3
    assert all(INHERITED["labels"].items() <= claim["metadata"]["labels"].items() for claim in claims)


def test_the_network_policy_has_the_further_rules(kubectl: Kubectl) -> None:
    spec = read(kubectl, "networkpolicy", "mine-valkey", TEAM)["spec"]
    peer = {"namespaceSelector": {"matchLabels": {"team": "backup"}}}
    assert spec["ingress"][-1] == {"from": [peer], "ports": [{"protocol": "TCP", "port": 6379}]}
    assert spec["egress"][-1] == {"ports": [{"protocol": "UDP", "port": 1053}]}


def test_every_object_of_the_storage_inherits(kubectl: Kubectl) -> None:
    found = [obj for kind in CHILD_KINDS for obj in kubectl.api.list(kind, TEAM, "toolhive.stacklok.dev/storage=mine")]
    ours = [obj for obj in found if obj["metadata"]["ownerReferences"][0]["kind"] == "SessionStorage"]
    assert {obj["kind"] for obj in ours} == {resource.kind for resource in CHILD_KINDS}
    for obj in ours:
        metadata, title = obj["metadata"], f"{obj['kind']} {obj['metadata']['name']}"
        assert INHERITED["labels"].items() <= metadata["labels"].items(), title
        is_noted = INHERITED["annotations"].items() <= metadata["annotations"].items()
        assert is_noted is (obj["kind"] != "Secret"), title


def test_at_rest_nothing_is_written(kubectl: Kubectl, audit_log: AuditLog) -> None:
    resting = audit_log.at_rest(partial(kubectl.api.list, NAMESPACES))
    time.sleep(IDLE_SECONDS)  # what the test measures: a period without writes
    assert audit_log.since(resting) == Counter()
    assert condition(kubectl, TEAM, "mine", "ObjectsUnaltered").get("status", "True") == "True"


def test_the_copied_credentials_follow_their_source_and_nobody_restarts(kubectl: Kubectl) -> None:
    uids = {pod["metadata"]["uid"] for pod in pods(kubectl)}
    new = credentials("second")
    kubectl.apply(new)
    eventually(lambda: read(kubectl, "secret", COPY, TEAM)["data"] == new["data"], what="the copy has the new content")
    assert read(kubectl, "secret", COPY, TEAM)["type"] == "kubernetes.io/dockerconfigjson"
    assert {pod["metadata"]["uid"] for pod in pods(kubectl)} == uids


def test_what_the_storage_hands_down_no_more_goes_from_every_object(kubectl: Kubectl) -> None:
    kubectl(
        "patch", "sstore", "mine", "-n", TEAM, "--type=json", "-p", '[{"op":"remove","path":"/spec/inheritedMetadata"}]'
    )

    def inheriting() -> list[str]:
        found = [obj for kind in (*CHILD_KINDS, PODS, VOLUME_CLAIMS) for obj in kubectl.api.list(kind, TEAM)]
        return [obj["metadata"]["name"] for obj in found if "owner" in (obj["metadata"].get("labels") or {})]

    eventually(lambda: inheriting() == [], seconds=120, what="no object has the label any more")
    await_ready(kubectl, TEAM, "mine")
    assert read(kubectl, "networkpolicy", "mine-valkey", TEAM)["metadata"].get("annotations") is None


def test_a_disk_keeps_its_class(kubectl: Kubectl) -> None:
    patch = '[{"op":"replace","path":"/spec/storageClassName","value":"slow"}]'
    said = kubectl.fails("patch", "sstore", "mine", "-n", TEAM, "--type=json", "-p", patch)
    assert "spec.storageClassName: Forbidden: a disk cannot change its StorageClass in place" in said


def test_nothing_is_forbidden_to_the_processes(processes: dict[str, Process]) -> None:
    logs = {name: process.log.read_text().splitlines() for name, process in processes.items()}
    assert {name: [line for line in lines if "forbidden" in line.lower()] for name, lines in logs.items()} == {
        "webhook": [],
        "reconciler": [],
    }


def test_other_figures_of_a_size_reach_a_storage_that_runs_and_so_does_the_end_of_network_policies(
    kubectl: Kubectl, processes: dict[str, Process]
) -> None:
    """It costs 15 s: three instances make way for larger ones with larger disks, one after the other."""
    # The later of two options counts.
    later = ("valkey.sizes.medium.memory=1Gi", "valkey.sizes.medium.disk=9Gi", "valkey.networkPolicy.enabled=false")
    objects = install_chart(kubectl, int(processes["webhook"].environ["WEBHOOK_PORT"]), *VALUES, *later)
    told = environment_of(objects, "reconciler")
    former = {pod["metadata"]["uid"] for pod in pods(kubectl)}
    with primary_client(kubectl) as client:
        client.set("session", "kept")
    reconciler = processes["reconciler"]
    assert reconciler.terminate() == 0
    reconciler.environ |= {name: told[name] for name in ("VALKEY_SIZES", "VALKEY_NETWORK_POLICY")}
    reconciler.start()
    eventually(lambda: not kubectl.api.list(NETWORK_POLICIES, TEAM), what="no storage has a NetworkPolicy")

    def are_larger() -> bool:
        found = pods(kubectl)
        memory = {pod["spec"]["containers"][0]["resources"]["requests"]["memory"] for pod in found}
        return len(found) == 3 and memory == {"1Gi"} and former.isdisjoint(pod["metadata"]["uid"] for pod in found)

    eventually(are_larger, seconds=90, what="three larger instances")
    eventually(lambda: condition(kubectl, TEAM, "mine", "Redundant").get("status") == "True", what="all in sync")
    await_ready(kubectl, TEAM, "mine")
    claims = {claim["metadata"]["name"]: claim["spec"] for claim in kubectl.api.list(VOLUME_CLAIMS, TEAM)}
    for pod in pods(kubectl):
        claim = claims[f"data-{pod['metadata']['name']}"]
        assert (claim["resources"]["requests"]["storage"], claim["storageClassName"]) == ("9Gi", "fast")
    with primary_client(kubectl) as client:
        assert client.get("session") == b"kept"


def test_the_copy_goes_with_its_storage(kubectl: Kubectl) -> None:
    kubectl("delete", "sstore", "mine", "-n", TEAM)
    eventually(lambda: COPY not in {each["metadata"]["name"] for each in kubectl.api.list(SECRETS, TEAM)}, what="gone")
    eventually(lambda: not kubectl.api.list(STATEFUL_SETS, TEAM), what="the other objects go too")
