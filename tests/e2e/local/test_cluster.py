"""What the local cluster promises its users, as pods on all its nodes see it."""

import os
import socket
from collections.abc import Iterator

import pytest

from deploy.demo.kube import Kube, Object
from deploy.local import images
from deploy.local.topology import NODES

NAMESPACE = "local-cluster-test"
SERVER = "server"
NAMES = [f"{SERVER}-{index}" for index in range(len(NODES))]


def server() -> list[Object]:
    """Build one Valkey per zone, each with a volume, run by a user who does not own the volume."""
    labels = {"app": SERVER}
    spread = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }
    container = {
        "name": "valkey",
        "image": images.VALKEY,
        "command": ["valkey-server", "--dir", "/data", "--appendonly", "yes", "--protected-mode", "no"],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    pod = {
        "securityContext": {"runAsUser": 4321, "runAsNonRoot": True},
        "terminationGracePeriodSeconds": 0,
        "topologySpreadConstraints": [spread],
        "containers": [container],
    }
    stateful_set: Object = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": SERVER},
        "spec": {
            "replicas": len(NODES),
            "serviceName": SERVER,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            "volumeClaimTemplates": [claim],
        },
    }
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVER},
        "spec": {"selector": labels, "ports": [{"port": 6379}]},
    }
    headless: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{SERVER}-nodes"},
        "spec": {"clusterIP": "None", "selector": labels, "ports": [{"port": 6379}]},
    }
    for each in (stateful_set, service, headless):
        each["metadata"]["namespace"] = NAMESPACE
    return [stateful_set, service, headless]


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    """Start the Valkey servers on the cluster."""
    cluster = Kube.of(os.environ)
    cluster.create_namespace(NAMESPACE)
    cluster.apply(*server())
    cluster.run("rollout", "status", f"statefulset/{SERVER}", "--timeout=120s", namespace=NAMESPACE)
    yield cluster
    cluster.delete_namespaces(NAMESPACE)


def ask(kube: Kube, pod: str, *command: str) -> str:
    return kube.run("exec", pod, "--", "valkey-cli", *command, namespace=NAMESPACE).strip()


def pods(kube: Kube) -> list[Object]:
    return kube.items("pods", NAMESPACE)


def test_pods_are_spread_over_three_nodes_in_three_zones(kube: Kube) -> None:
    assert {pod["spec"]["nodeName"] for pod in pods(kube)} == {node.name for node in NODES}
    zones = {node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in kube.items("nodes")}
    assert zones == {node.zone for node in NODES}


def test_every_pod_reaches_every_other_by_its_address(kube: Kube) -> None:
    for pod in NAMES:
        for other in pods(kube):
            assert ask(kube, pod, "-h", other["status"]["podIP"], "PING") == "PONG"


def test_every_pod_reaches_the_service_by_its_name(kube: Kube) -> None:
    for pod in NAMES:
        for name in (SERVER, f"{SERVER}.{NAMESPACE}.svc.cluster.local"):
            assert ask(kube, pod, "-h", name, "PING") == "PONG"


def test_a_pod_reaches_itself_through_its_service(kube: Kube) -> None:
    for _ in range(4 * len(NAMES)):
        assert ask(kube, NAMES[0], "-h", SERVER, "PING") == "PONG"


def test_volumes_are_bound_by_default_and_any_user_may_write(kube: Kube) -> None:
    claims = kube.items("persistentvolumeclaims", NAMESPACE)
    assert {(claim["status"]["phase"], claim["spec"]["storageClassName"]) for claim in claims} == {
        ("Bound", "standard")
    }
    assert ask(kube, NAMES[0], "SET", "key", "value") == "OK"
    kube.run("delete", "pod", NAMES[0], namespace=NAMESPACE)
    kube.run("rollout", "status", f"statefulset/{SERVER}", "--timeout=60s", namespace=NAMESPACE)
    kube.await_condition(f"pod/{NAMES[0]}", "condition=Ready", NAMESPACE)
    assert ask(kube, NAMES[0], "GET", "key") == "value"


def test_logs_are_read_from_every_node(kube: Kube) -> None:
    for pod in NAMES:
        assert "Ready to accept connections" in kube.run("logs", pod, namespace=NAMESPACE)


def test_the_host_reaches_pods_and_services(kube: Kube) -> None:
    service = kube.get("service", SERVER, NAMESPACE)
    assert service
    for address in (service["spec"]["clusterIP"], *(pod["status"]["podIP"] for pod in pods(kube))):
        with socket.create_connection((address, 6379), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(16) == b"+PONG\r\n"


def test_pods_have_no_route_out_of_the_cluster(kube: Kube) -> None:
    """192.0.2.0/24 is for documentation (RFC 5737): an attempt to reach it bothers nobody."""
    complaint = kube.refusal("exec", NAMES[0], "--", "valkey-cli", "-h", "192.0.2.254", "PING", namespace=NAMESPACE)
    assert "Network is unreachable" in complaint or "No route to host" in complaint


def test_toolhive_is_installed_from_its_own_charts(kube: Kube) -> None:
    releases = kube.run_helm("list", "--all-namespaces", "--short").split()
    assert {"toolhive-operator-crds", "toolhive-operator"} <= set(releases)
    operator = kube.get("deployment", "toolhive-operator", "toolhive-system")
    assert operator
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    assert container["image"] == images.TOOLHIVE_OPERATOR
    named = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert named["TOOLHIVE_RUNNER_IMAGE"] == images.TOOLHIVE_PROXYRUNNER
    assert named["VMCP_IMAGE"] == images.TOOLHIVE_VMCP
