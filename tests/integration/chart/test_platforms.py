"""The values for platforms make storages on a real API server with the platform's rules, and all of it comes to rest.

The control plane is this module's own, because six releases stand in it side by side. All of it costs under 60 s.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import chain

import pytest

from deploy.local import binaries
from deploy.local.loopback import ControlPlane
from shared import names
from shared.objects.resources import NAMESPACES, PODS, STATEFUL_SETS, VOLUME_CLAIMS, Object
from tests.integration.chart import rules
from tests.integration.chart.platforms import BY_NAME, CRD, Platform, containers, deployed, objects_of, own_pods
from tests.integration.chart.pods import container, ports, resources, template
from tests.integration.control_plane import Kubectl, running_control_plane
from tests.integration.installation import CHART, Release, install_toolhive_crds, told
from tests.integration.loopback import OTHERS, address, free_port
from tests.integration.processes import Process, eventually, running_kubelet
from tests.integration.storages import await_ready, condition, read, storage
from tests.support.audit import AuditLog

FIRST_ADDRESS = 50_000
NODE = address(OTHERS, 50_000)
"""The node that a pod of the webhook shares its network with: this machine."""
IDLE_SECONDS = 11.0
"""Longer than the interval between passes over a healthy storage."""
LEAST = {"cpu": rules.LEAST_CPU, "memory": rules.LEAST_MEMORY, "ephemeral-storage": "1Gi"}


@pytest.fixture(scope="module")
def own_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    # The API server then calls webhooks at the addresses of their pods, as one without kube-proxy does.
    flag = "--enable-aggregator-routing=true"
    with running_control_plane(tmp_path_factory.mktemp("platforms") / "control-plane", flag) as control_plane:
        yield control_plane


@pytest.fixture(scope="module")
def audit_log(own_control_plane: ControlPlane) -> AuditLog:
    return AuditLog(own_control_plane.audit_log, *BY_NAME)


@pytest.fixture(scope="module")
def kubectl(own_control_plane: ControlPlane) -> Kubectl:
    return Kubectl(own_control_plane.kubeconfig)


@pytest.fixture(scope="module")
def rendered(kubectl: Kubectl) -> dict[str, list[Object]]:
    """Install a release on each platform, once its rules are in force; return what Helm rendered."""
    install_toolhive_crds(kubectl)
    kubectl("apply", "--server-side", "-f", str(CRD))
    made = [each.rules.of(each.name) for each in BY_NAME.values() if each.rules is not None]
    kubectl.apply(*(each.namespace for each in BY_NAME.values()), *chain.from_iterable(made))
    texts = {name: platform.rendered() for name, platform in BY_NAME.items()}
    objects = {name: objects_of(text) for name, text in texts.items()}
    pod = template(objects["mesh"], "webhook", "mesh")
    for platform in BY_NAME.values():
        await_rules(kubectl, platform, pod)
    kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(texts.values()))
    return objects


@pytest.fixture(scope="module")
def processes(
    kubectl: Kubectl, rendered: dict[str, list[Object]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Process]]:
    """Run all reconcilers, and EKS' webhook on the ports that the values give it."""
    made = {}
    for name, objects in rendered.items():
        directory, release = tmp_path_factory.mktemp(name), Release(name, name)
        environ = told(objects, "reconciler", kubectl, directory, release) | {"HTTP_PORT": str(free_port())}
        made[name] = Process("reconciler", environ, directory / "reconciler.log")
        if BY_NAME[name].has_webhook:
            environ = told(objects, "webhook", kubectl, directory, release)
            made[f"{name}-webhook"] = Process("webhook", environ, directory / "webhook.log")
    with contextlib.ExitStack() as stack:
        directory = tmp_path_factory.mktemp("kubelet")
        stack.enter_context(running_kubelet(kubectl.kubeconfig, directory, FIRST_ADDRESS))
        for process in made.values():
            stack.callback(process.kill)
            process.start()
        for process in made.values():
            process.await_ready(seconds=120)  # seven begin at once
        yield made


@pytest.fixture(scope="module", autouse=True)
def storages(kubectl: Kubectl, processes: dict[str, Process]) -> None:
    """Ask for a storage on each platform."""
    run_on_the_node(kubectl, two_of_each(kubectl, "eks")["webhook"][0])
    for platform in BY_NAME.values():
        store(kubectl, platform)


def await_rules(kubectl: Kubectl, platform: Platform, pod: Object) -> None:
    rules_there = platform.rules
    if rules_there is not None:
        what = f"the API server heeds the rules of {platform.name}"
        eventually(lambda: rules_there.are_in_force(kubectl, platform.name, pod), what=what)


def store(kubectl: Kubectl, platform: Platform) -> None:
    def is_stored() -> bool:
        kubectl.api.apply(storage("mine", platform.name, size=platform.size))
        return True

    eventually(is_stored, what=f"the API server takes the storage of {platform.name}")


def run_on_the_node(kubectl: Kubectl, pod: Object) -> None:
    """Say of a pod what its node's kubelet would."""
    metadata = pod["metadata"]
    addresses = {"hostIP": NODE, "hostIPs": [{"ip": NODE}], "podIP": NODE, "podIPs": [{"ip": NODE}]}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], **addresses}
    kubectl.api.change(PODS, metadata["namespace"], metadata["name"], {"status": status}, "--subresource=status")
    # Kubernetes leads no Service to a pod whose node is no object, and there are no nodes.
    service = {"name": "by-hand", "namespace": "eks", "labels": {"kubernetes.io/service-name": "eks-webhook"}}
    listening = [{"name": "https", "port": ports(pod)["https"], "protocol": "TCP"}]
    kubectl.api.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": service,
            "addressType": "IPv4",
            "endpoints": [{"addresses": [NODE], "conditions": {"ready": True}}],
            "ports": listening,
        }
    )


def two_of_each(kubectl: Kubectl, release: str) -> dict[str, list[Object]]:
    """Wait until Kubernetes has made two pods of each process, and return them by their process."""
    eventually(
        lambda: [len(each) for each in own_pods(kubectl, release).values()] == [2, 2], what="two pods of each process"
    )
    return own_pods(kubectl, release)


def valkeys(kubectl: Kubectl, name: str) -> tuple[Object, Object]:
    """Return the StatefulSet and the pod of the only instance on a platform."""
    await_ready(kubectl, name, "mine")
    (workload,) = kubectl.api.list(STATEFUL_SETS, name)
    (pod,) = kubectl.api.list(PODS, name, f"{names.LABEL_STORAGE}=mine")
    return workload, pod


@pytest.mark.parametrize("name", BY_NAME)
def test_a_storage_becomes_ready_under_the_rules_of_a_platform(kubectl: Kubectl, name: str) -> None:
    await_ready(kubectl, name, "mine")
    assert condition(kubectl, name, "mine", "Ready")["status"] == "True"


def test_at_rest_nothing_is_written_on_any_platform(kubectl: Kubectl, audit_log: AuditLog) -> None:
    for name in BY_NAME:
        await_ready(kubectl, name, "mine")
    written = audit_log.since(0)
    for name in BY_NAME:
        assert [each for each in written if each.endswith(f" statefulsets {name}/mine-valkey-0")]
    resting = audit_log.at_rest(partial(kubectl.api.list, NAMESPACES))
    time.sleep(IDLE_SECONDS)  # what the test measures: a period without writes
    assert audit_log.since(resting) == Counter()


def test_on_openshift_all_pods_take_the_ids_of_their_namespace(kubectl: Kubectl) -> None:
    workload, pod = valkeys(kubectl, "openshift")
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(workload["spec"]["template"]["spec"]["securityContext"])
    assert pod["spec"]["securityContext"]["fsGroup"] == rules.FIRST_ID
    for each in (pod, *chain.from_iterable(two_of_each(kubectl, "openshift").values())):
        assert not {"runAsUser", "runAsGroup"} & set(each["spec"]["securityContext"])
        assert container(each)["securityContext"]["runAsUser"] == rules.FIRST_ID
    assert "FailedCreate" not in kubectl("get", "events", "-n", "openshift")


def test_helm_finds_out_by_itself_that_the_cluster_is_openshift(
    kubectl: Kubectl, own_control_plane: ControlPlane
) -> None:
    kubectl.apply(rules.OPENSHIFT_CRD)
    kubectl("wait", "--for=condition=Established", "crd/securitycontextconstraints.security.openshift.io")
    command = [str(binaries.binary("helm")), "install", "asking", str(CHART), "--namespace=default"]
    options = [f"--kubeconfig={own_control_plane.kubeconfig}", "--dry-run=server", "--set=crds.enabled=false"]

    def ids_are_left_out() -> bool:
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return "runAsNonRoot: true" in done.stdout and "runAsUser" not in done.stdout

    eventually(ids_are_left_out, what="Helm sees OpenShift's API")


def test_on_eks_the_webhook_is_where_the_control_plane_reaches_it(kubectl: Kubectl) -> None:
    pods = two_of_each(kubectl, "eks")
    for pod in pods["webhook"]:
        assert pod["spec"]["hostNetwork"] is True
        assert pod["spec"]["dnsPolicy"] == "ClusterFirstWithHostNet"
        # By these, the scheduler gives a node to one of the pods at most.
        assert {port["hostPort"] for port in container(pod)["ports"]} == {10270, 10271}
    for pod in pods["reconciler"]:
        assert "hostNetwork" not in pod["spec"]
        assert pod["spec"]["nodeSelector"]["karpenter.sh/capacity-type"] == "on-demand"
        spread = [each["topologyKey"] for each in pod["spec"]["topologySpreadConstraints"]]
        assert spread == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def test_on_eks_api_server_and_reconciler_reach_the_webhook_at_its_node(
    kubectl: Kubectl, processes: dict[str, Process]
) -> None:
    known = read(kubectl, "endpointslice", "by-hand", "eks")
    assert [port["port"] for port in known["ports"]] == [10270]
    answered = 'session_storage_webhook_reviews_total{answer="allow",path="/mutate/sessionstorages"}'
    assert (processes["eks-webhook"].metric(answered) or 0) >= 1
    # The reconciler connects to the same address, and sees its own certificate.
    seen = 'session_storage_webhook_pods_seen{serving="current"}'
    eventually(lambda: processes["eks"].metric(seen) == 1, what="the reconciler sees what the webhook serves")


def test_on_eks_valkey_has_a_disk_of_the_class_and_a_node_that_stays(kubectl: Kubectl) -> None:
    workload, pod = valkeys(kubectl, "eks")
    assert workload["spec"]["template"]["spec"]["nodeSelector"]["karpenter.sh/capacity-type"] == "on-demand"
    assert pod["spec"]["nodeSelector"]["karpenter.sh/capacity-type"] == "on-demand"
    (claim,) = kubectl.api.list(VOLUME_CLAIMS, "eks")
    assert claim["spec"]["storageClassName"] == "gp3"


def test_on_autopilot_a_storage_takes_what_admission_makes_of_it_and_says_so(kubectl: Kubectl) -> None:
    for each in valkeys(kubectl, "autopilot"):
        assert resources(each) == {"requests": LEAST, "limits": LEAST}
    told_of = condition(kubectl, "autopilot", "mine", "ObjectsUnaltered")
    assert (told_of["status"], told_of["reason"]) == ("False", "Rewritten")
    assert "StatefulSet mine-valkey-0" in told_of["message"]


def test_resources_that_admission_rewrites_restart_nothing_when_the_chart_is_applied_again(kubectl: Kubectl) -> None:
    def generations() -> list[int]:
        return [each["metadata"]["generation"] for each in deployed(kubectl, "autopilot").values()]

    for each in deployed(kubectl, "autopilot").values():
        assert resources(each) == {"requests": LEAST, "limits": LEAST}
    two_of_each(kubectl, "autopilot")
    before = generations()
    kubectl("apply", "--server-side", "-f", "-", stdin=BY_NAME["autopilot"].rendered())
    assert generations() == before


def test_on_autopilot_what_the_values_say_is_what_runs(kubectl: Kubectl, rendered: dict[str, list[Object]]) -> None:
    scratch = {"ephemeral-storage": "1Gi"}
    for component, deployment in deployed(kubectl, "gke-autopilot").items():
        wanted = container(template(rendered["gke-autopilot"], component, "gke-autopilot"))["resources"]
        assert resources(deployment) == {kind: wanted[kind] | scratch for kind in ("requests", "limits")}
    assert ports(template(rendered["gke-autopilot"], "webhook", "gke-autopilot"))["https"] == 10250
    amounts = {"cpu": "500m", "memory": "512Mi", **scratch}
    for each in valkeys(kubectl, "gke-autopilot"):
        assert resources(each) == {"requests": amounts, "limits": amounts}
    # Nothing of ours has become something else.
    assert condition(kubectl, "gke-autopilot", "mine", "ObjectsUnaltered") == {}


def test_injectors_of_sidecars_leave_our_pods_and_valkeys_alone(kubectl: Kubectl) -> None:
    for pod in chain.from_iterable(two_of_each(kubectl, "mesh").values()):
        assert container(pod)["name"] in {"webhook", "reconciler"}
    _, pod = valkeys(kubectl, "mesh")
    assert containers(pod) == {"valkey"}


def test_our_pods_and_valkeys_join_meshes_as_the_page_says(kubectl: Kubectl, rendered: dict[str, list[Object]]) -> None:
    for component, pods in two_of_each(kubectl, "joined").items():
        assert [containers(pod) for pod in pods] == 2 * [{component, rules.ISTIO}]
    webhook = template(rendered["joined"], "webhook", "joined")
    left_out = webhook["metadata"]["annotations"]["traffic.sidecar.istio.io/excludeInboundPorts"]
    assert {int(port) for port in left_out.split(",")} == set(ports(webhook).values())
    _, pod = valkeys(kubectl, "joined")
    assert containers(pod) == {"valkey", rules.ISTIO, rules.LINKERD}
    egress = read(kubectl, "networkpolicy", "mine-valkey", "joined")["spec"]["egress"]
    assert {"protocol": "TCP", "port": 15012} in egress[-1]["ports"]
