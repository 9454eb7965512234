"""The chart's whole life under Helm, in a cluster of its own: install, upgrade, uninstall, install again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import binaries
from deploy.local.loopback import ControlPlane
from shared.objects.resources import PODS, Object
from tests.integration.control_plane import Kubectl, running_control_plane
from tests.integration.installation import NAMESPACE, RELEASE, kubeconfig_for
from tests.integration.loopback import free_port
from tests.integration.mcpservers import has_field, install_toolhive_crd, server
from tests.integration.processes import ROOT, Process, eventually
from tests.integration.storages import read, storage

WEBHOOK, RECONCILER = f"{RELEASE}-webhook", f"{RELEASE}-reconciler"
AUTHORITY, SERVING = f"{WEBHOOK}-ca", f"{WEBHOOK}-tls"
CONFIGURATION = ("mutatingwebhookconfiguration", WEBHOOK)
RELEASED = (
    "deployments,replicasets,pods,services,serviceaccounts,secrets,configmaps,poddisruptionbudgets,networkpolicies,"
    "roles,rolebindings,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings"
)
EXTERNAL = {"url": "redis://there:6379", "secretRef": "absent"}


class Helm:
    """helm, as the administrator, for one release."""

    def __init__(self, kubeconfig: Path) -> None:
        self._command = [str(binaries.binary("helm")), f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE}"]

    def __call__(self, command: str, *arguments: str) -> None:
        chart = [] if command == "uninstall" else [str(ROOT / "deploy" / "chart")]
        done = subprocess.run(
            [*self._command, command, RELEASE, *chart, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def own_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run a control plane for this module alone: half of the chart's objects can exist only once in a cluster."""
    with running_control_plane(tmp_path_factory.mktemp("install") / "control-plane") as control_plane:
        yield control_plane


@pytest.fixture(scope="module")
def kubectl(own_control_plane: ControlPlane) -> Kubectl:
    return Kubectl(own_control_plane.kubeconfig)


@pytest.fixture(scope="module")
def helm(kubectl: Kubectl, own_control_plane: ControlPlane) -> Helm:
    """Install the chart into a namespace that enforces the restricted Pod Security Standard."""
    install_toolhive_crd(kubectl)
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": level}})
    helm = Helm(own_control_plane.kubeconfig)
    helm("install")
    return helm


def start_reconciler(kubectl: Kubectl, kubeconfig: Path, directory: Path) -> Process:
    """Run the reconciler as its Deployment would: with its environment and its service account."""
    (container,) = read(kubectl, "deployment", RECONCILER, NAMESPACE)["spec"]["template"]["spec"]["containers"]
    environ = {item["name"]: item["value"] for item in container["env"] if "value" in item} | {
        "KUBECONFIG": str(kubeconfig_for(kubectl, kubeconfig, RECONCILER, directory)),
        "POD_NAME": f"{RECONCILER}-0",
        "POD_NAMESPACE": NAMESPACE,
        "HTTP_PORT": str(free_port()),
    }
    process = Process("reconciler", environ, directory / "reconciler.log")
    process.start()
    return process


@pytest.fixture(scope="module")
def reconciler(
    helm: Helm, kubectl: Kubectl, own_control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    process = start_reconciler(kubectl, own_control_plane.kubeconfig, tmp_path_factory.mktemp("reconciler"))
    eventually(lambda: is_trusted(kubectl) and has_field(kubectl), what="bundle and field are there")
    yield process
    process.kill()


def bundles(kubectl: Kubectl) -> set[str]:
    webhooks = read(kubectl, *CONFIGURATION, NAMESPACE)["webhooks"]
    return {webhook["clientConfig"].get("caBundle", "") for webhook in webhooks}


def is_trusted(kubectl: Kubectl) -> bool:
    """Return whether API servers trust the certificate that webhooks are to serve."""
    return bundles(kubectl) == {read(kubectl, "secret", SERVING, NAMESPACE)["data"]["ca.crt"]}


def versions(kubectl: Kubectl) -> list[str]:
    kept = (("secret", AUTHORITY), ("secret", SERVING), CONFIGURATION)
    found = [read(kubectl, kind, name, NAMESPACE)["metadata"]["resourceVersion"] for kind, name in kept]
    deployments = [read(kubectl, "deployment", name, NAMESPACE)["metadata"] for name in (WEBHOOK, RECONCILER)]
    return [*found, *(str(metadata["generation"]) for metadata in deployments)]


def as_account(name: str) -> str:
    return f"--as=system:serviceaccount:{NAMESPACE}:{name}"


def test_all_pods_are_admitted_under_restricted_pod_security(kubectl: Kubectl, helm: Helm) -> None:
    def owners() -> list[str]:
        pods = kubectl.api.list(PODS, NAMESPACE)
        return sorted(pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods)

    eventually(lambda: owners() == ["reconciler", "reconciler", "webhook", "webhook"], what="two pods of each process")
    assert "FailedCreate" not in kubectl("get", "events", "-n", NAMESPACE)


def test_the_webhooks_account_reads_its_certificate_and_no_other_secret(kubectl: Kubectl, reconciler: Process) -> None:
    webhook = (as_account(WEBHOOK), "-n", NAMESPACE)
    assert kubectl("get", "secret", SERVING, "-o", "name", *webhook) == f"secret/{SERVING}\n"
    own = f"--field-selector=metadata.name={SERVING}"
    assert kubectl("get", "secrets", own, "-o", "name", *webhook) == f"secret/{SERVING}\n"
    assert "forbidden" in kubectl.fails("get", "secret", AUTHORITY, *webhook)
    assert "forbidden" in kubectl.fails("get", "secrets", *webhook)
    assert "forbidden" in kubectl.fails("get", "secrets", "--all-namespaces", as_account(WEBHOOK))
    for verb in ("get", "watch", "update", "patch", "delete"):
        kubectl.fails("auth", "can-i", verb, f"secrets/{AUTHORITY}", *webhook)
    kubectl("auth", "can-i", "get", f"secrets/{AUTHORITY}", as_account(RECONCILER), "-n", NAMESPACE)


@pytest.mark.parametrize(
    ("account", "asked"),
    [
        (WEBHOOK, "update secrets"),
        (WEBHOOK, "create sessionstorages.toolhive.stacklok.dev"),
        (WEBHOOK, "update mcpservers.toolhive.stacklok.dev"),
        (WEBHOOK, "patch mutatingwebhookconfigurations.admissionregistration.k8s.io"),
        (RECONCILER, "update mcpservers.toolhive.stacklok.dev"),
        (RECONCILER, "update sessionstorages.toolhive.stacklok.dev"),
        (RECONCILER, "create pods"),
        (RECONCILER, "create pods/exec"),
        (RECONCILER, "create mutatingwebhookconfigurations.admissionregistration.k8s.io"),
        (RECONCILER, "patch mutatingwebhookconfigurations.admissionregistration.k8s.io/another"),
        (RECONCILER, "patch customresourcedefinitions.apiextensions.k8s.io/another"),
        (RECONCILER, "escalate clusterroles.rbac.authorization.k8s.io"),
        (RECONCILER, "create clusterrolebindings.rbac.authorization.k8s.io"),
        (RECONCILER, "impersonate serviceaccounts"),
    ],
)
def test_neither_account_may_do_what_it_does_not_need(kubectl: Kubectl, helm: Helm, account: str, asked: str) -> None:
    kubectl.fails("auth", "can-i", *asked.split(), as_account(account))


def test_an_upgrade_that_changes_nothing_touches_nothing(kubectl: Kubectl, helm: Helm, reconciler: Process) -> None:
    before = versions(kubectl)
    helm("upgrade")
    assert versions(kubectl) == before
    assert is_trusted(kubectl)


def policies(webhooks: list[Object]) -> set[str]:
    """Return the failure policies of the webhooks for storages and references; the others let everything pass."""
    chosen = ("consumers.", "sessionstorages.")
    return {webhook["failurePolicy"] for webhook in webhooks if webhook["name"].startswith(chosen)}


def test_trust_outlives_an_upgrade_that_changes_the_configuration(
    kubectl: Kubectl, helm: Helm, reconciler: Process
) -> None:
    before = bundles(kubectl)
    for policy in ("Ignore", "Fail"):
        helm("upgrade", f"--set=webhook.failurePolicy={policy}")
        webhooks = read(kubectl, *CONFIGURATION, NAMESPACE)["webhooks"]
        assert policies(webhooks) == {policy}
        assert bundles(kubectl) == before


def test_a_lost_configuration_comes_back_with_an_upgrade(kubectl: Kubectl, helm: Helm, reconciler: Process) -> None:
    kubectl("delete", *CONFIGURATION)
    helm("upgrade")
    eventually(lambda: is_trusted(kubectl), what="the new configuration has the bundle")


def test_editors_of_a_namespace_may_have_storages_and_viewers_may_see_them(kubectl: Kubectl, helm: Helm) -> None:
    for role in ("edit", "view"):
        kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}or", "-n", "default")
    eventually(lambda: "yes" in kubectl("auth", "can-i", "create", "sstore", "--as=editor"), what="editors may create")
    eventually(lambda: "yes" in kubectl("auth", "can-i", "list", "sstore", "--as=viewor"), what="viewers may list")
    kubectl.fails("auth", "can-i", "create", "sstore", "--as=viewor")
    kubectl.fails("auth", "can-i", "update", "sstore", "--subresource=status", "--as=editor")


def test_uninstalling_blocks_nobody_leaves_what_users_own_and_can_be_undone(
    kubectl: Kubectl, helm: Helm, reconciler: Process, own_control_plane: ControlPlane, tmp_path: Path
) -> None:
    # API servers call no webhook for that namespace; here, none would answer.
    kubectl("create", "-f", "-", stdin=json.dumps(storage("mine", "kube-system", external=EXTERNAL)))
    assert policies(read(kubectl, *CONFIGURATION, NAMESPACE)["webhooks"]) == {"Fail"}
    before = bundles(kubectl)

    helm("uninstall", "--no-hooks")  # there is no kubelet that would run the hook's pod
    referring = json.dumps(server("default", sessionStorageRef="mine"))
    # API servers need up to a second to learn that a policy is gone.
    eventually(lambda: "created" in kubectl("create", "-f", "-", stdin=referring), seconds=5, what="no policy refuses")
    ours = ("-l", f"app.kubernetes.io/instance={RELEASE}", "-o", "name")
    eventually(lambda: kubectl("get", RELEASED, "--all-namespaces", *ours) == "", what="no released object is left")
    reconciler.kill()
    left = set(kubectl("get", "secrets,leases", "-n", NAMESPACE, "-o", "name").split())
    assert left == {f"secret/{AUTHORITY}", f"secret/{SERVING}", f"lease.coordination.k8s.io/{RECONCILER}"}
    assert read(kubectl, "sessionstorage", "mine", "kube-system")["spec"] == {"external": EXTERNAL}

    helm("install")
    again = start_reconciler(kubectl, own_control_plane.kubeconfig, tmp_path)
    try:
        eventually(lambda: bundles(kubectl) == before, what="API servers trust the same authority again")
    finally:
        again.kill()
