"""What a GitOps tool applies again stays as it is, and it deletes nothing that is not its own.

Each manifest is applied twice as kubectl, Argo CD, Flux and Helm 4 do: client-side, server-side by one manager and by
several, and compared as Argo CD compares. The webhook changes what it connects, so all of it needs the real API server.
kubectl starts some 250 times, which takes half a minute.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

import pytest
import yaml

from shared import names
from shared.objects.resources import CRDS, SESSION_STORAGES, Object
from tests.integration.consumers import KINDS, RESOURCES, WAYS, await_injection_of_all, consumer, referring
from tests.integration.control_plane import Kubectl
from tests.integration.installation import CONSUMER_PLURALS, toolhive_crd
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_ready, storage
from tests.support import argocd

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
MANAGERS: Final = ("argocd-controller", "kustomize-controller", "helm")
OWN: Final = {"MCPServer": "mcp", "VirtualMCPServer": "vmcp"}
"""The kinds whose pod template users write, and the container that the webhook changes."""
MEMORY: Final = {"resources": {"limits": {"memory": "256Mi"}}}
EVERYTHING: Final = (
    "secrets,configmaps,services,endpointslices.discovery.k8s.io,statefulsets,controllerrevisions,pods,"
    "persistentvolumeclaims,networkpolicies,poddisruptionbudgets,serviceaccounts"
)
"""Kinds that a storage leads to. For Endpoints, Argo CD takes the Service of that name as owner."""


def with_containers(kind: str, namespace: str, container: Object) -> Object:
    """Build a consumer whose manifest lists containers of its own."""
    template = {"spec": {"containers": [container]}}
    return consumer(kind, namespace, sessionStorageRef="mine", podTemplateSpec=template)


def consumers(namespace: str) -> dict[str, Object]:
    """Build consumers of all kinds, in all ways to refer to a storage; none lists containers."""
    return {f"{kind} by {way}": referring(kind, namespace, way) for kind in KINDS for way in WAYS}


def consumers_with_lists(namespace: str) -> dict[str, Object]:
    """Build consumers whose manifests list containers, which the webhook adds to."""
    return {
        f"{kind} with {what}": with_containers(kind, namespace, container)
        for kind, name in OWN.items()
        for what, container in own_containers(name).items()
    }


def own_containers(name: str) -> dict[str, Object]:
    """Build what a list may hold: the container that the webhook changes, with more or less in it, or another."""
    return {
        "the container": {"name": name, **MEMORY},
        "the container and sources": {"name": name, **MEMORY, "envFrom": [{"configMapRef": {"name": "own"}}]},
        "a sidecar alone": {"name": "sidecar", "image": "sidecar:latest"},
    }


def storages(namespace: str) -> dict[str, Object]:
    """Build storages with little and with much in their specs."""
    external = {"url": "redis://there.example:6379/2", "secretRef": "absent"}
    return {
        "storage without a word": storage("mine", namespace),
        "storage with all": storage(
            "mine", namespace, size="medium", allowedNamespaces=["team-a", "shop"], rotation={"every": "24h"}
        ),
        "external storage": storage("mine", namespace, external=external),
    }


def names_of(*manifests: dict[str, Object]) -> list[str]:
    return [name for each in manifests for name in each]


PLAIN: Final = names_of(consumers(""), storages(""))
LISTED: Final = names_of(consumers_with_lists(""))


@pytest.fixture(scope="module", autouse=True)
def _connected(processes: dict[str, Process], kubectl: Kubectl) -> None:
    await_injection_of_all(kubectl)


@pytest.fixture
def manifest(request: pytest.FixtureRequest, namespace: str) -> Object:
    """Build the manifest with the name that the test is given."""
    found: Object = (consumers(namespace) | consumers_with_lists(namespace) | storages(namespace))[request.param]
    return found


every_manifest = pytest.mark.parametrize("manifest", [*PLAIN, *LISTED], indirect=True)


def live(kubectl: Kubectl, manifest: Object) -> Object:
    resource = (RESOURCES | {SESSION_STORAGES.kind: SESSION_STORAGES})[manifest["kind"]]
    return kubectl.api.get(resource, manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def content(obj: Object) -> Object:
    """Take what a manifest can say: the status, and the trail of who wrote what, are left out."""
    metadata = {key: obj["metadata"].get(key) for key in ("labels", "annotations", "generation", "finalizers")}
    return {"metadata": metadata, "spec": obj["spec"]}


def apply(kubectl: Kubectl, manifest: Object, *options: str) -> Object:
    """Apply a manifest as kubectl does, and return the object."""
    kubectl("apply", *options, "-f", "-", stdin=json.dumps(manifest))
    return live(kubectl, manifest)


def server_side(manager: str) -> tuple[str, ...]:
    """Apply as Argo CD and Flux do, which take over what others own."""
    return "--server-side", "--force-conflicts", f"--field-manager={manager}"


@every_manifest
def test_what_is_applied_client_side_again_stays_as_it_is(kubectl: Kubectl, manifest: Object) -> None:
    first = apply(kubectl, manifest)
    assert manifest["kind"] == "SessionStorage" or names.ANNOTATION_INJECTION in first["metadata"]["annotations"]
    assert content(apply(kubectl, manifest)) == content(first)


@every_manifest
def test_what_is_applied_server_side_again_stays_as_it_is_whoever_applies_it(
    kubectl: Kubectl, manifest: Object
) -> None:
    first = apply(kubectl, manifest, *server_side(MANAGERS[0]))
    for manager in (*MANAGERS, MANAGERS[0]):
        assert content(apply(kubectl, manifest, *server_side(manager))) == content(first)


@pytest.mark.parametrize("manifest", PLAIN, indirect=True)
def test_two_managers_of_one_object_have_no_conflict(kubectl: Kubectl, manifest: Object) -> None:
    first = apply(kubectl, manifest, "--server-side", f"--field-manager={MANAGERS[0]}")
    again = apply(kubectl, manifest, "--server-side", f"--field-manager={MANAGERS[1]}")
    assert content(again) == content(first)


@pytest.mark.parametrize("manifest", LISTED, indirect=True)
def test_a_second_manager_of_a_list_of_containers_has_to_force_it(kubectl: Kubectl, manifest: Object) -> None:
    """Server-side apply owns such a list as a whole, and the webhook has added to it."""
    apply(kubectl, manifest, "--server-side", f"--field-manager={MANAGERS[0]}")
    second = ("apply", "--server-side", f"--field-manager={MANAGERS[1]}", "-f", "-")
    assert ".spec.podTemplateSpec.spec.containers" in kubectl.fails(*second, stdin=json.dumps(manifest))


@every_manifest
def test_argo_cds_comparison_of_three_finds_no_difference(kubectl: Kubectl, manifest: Object) -> None:
    found = apply(kubectl, manifest)
    last_applied = json.loads(found["metadata"]["annotations"][LAST_APPLIED])
    assert not argocd.differs(last_applied, manifest, found)


@pytest.mark.parametrize("manifest", LISTED, indirect=True)
def test_a_change_of_a_listed_container_is_still_a_difference(kubectl: Kubectl, manifest: Object) -> None:
    found = apply(kubectl, manifest)
    changed: Any = json.loads(json.dumps(manifest))
    changed["spec"]["podTemplateSpec"]["spec"]["containers"][0]["resources"] = {"limits": {"memory": "512Mi"}}
    assert argocd.differs(manifest, changed, found)


@every_manifest
def test_argo_cds_server_side_comparison_finds_no_difference(kubectl: Kubectl, manifest: Object) -> None:
    found = apply(kubectl, manifest, *server_side(MANAGERS[0]))
    asked = ("apply", *server_side(MANAGERS[0]), "--dry-run=server", "--output=json", "-f", "-")
    predicted = json.loads(kubectl(*asked, stdin=json.dumps(manifest)))
    assert content(predicted) == content(found)


def crd_of(kubectl: Kubectl, plural: str) -> Object:
    return kubectl.api.get(CRDS, "", f"{plural}.{names.GROUP}")


def is_extended_by_nobody(kubectl: Kubectl, plural: str) -> bool:
    """Return whether a CRD has our field in every version, and the reconciler owns nothing of it."""
    crd = crd_of(kubectl, plural)
    schemas = [version["schema"]["openAPIV3Schema"] for version in crd["spec"]["versions"]]
    managers = {entry["manager"] for entry in crd["metadata"]["managedFields"]}
    has_field = all("sessionStorageRef" in each["properties"]["spec"]["properties"] for each in schemas)
    return has_field and names.FIELD_MANAGER_CRD not in managers


@pytest.mark.parametrize("plural", CONSUMER_PLURALS)
def test_an_upgrade_of_toolhives_chart_by_helm_4_has_no_conflict_with_our_field(kubectl: Kubectl, plural: str) -> None:
    """Helm 4 applies server-side, and forces nothing unless its user says so."""
    manifest = str(toolhive_crd(plural))
    kubectl("apply", *server_side("helm"), "-f", manifest)
    extended = partial(is_extended_by_nobody, kubectl, plural)
    eventually(extended, what="the reconciler has added the field, and owns nothing")
    kubectl("apply", "--server-side", "--field-manager=helm", "-f", manifest)
    eventually(extended, what="the field is back")


@pytest.mark.parametrize("plural", CONSUMER_PLURALS)
def test_argo_cd_finds_no_difference_in_toolhives_crds(kubectl: Kubectl, plural: str) -> None:
    eventually(partial(is_extended_by_nobody, kubectl, plural), what="the field is there")
    stock = yaml.safe_load(toolhive_crd(plural).read_text())
    assert not argocd.differs(stock, stock, crd_of(kubectl, plural))


@pytest.mark.usefixtures("kubelet")
def test_nothing_that_has_argo_cds_tracking_label_lacks_an_owner(
    kubectl: Kubectl, namespace: str, processes: dict[str, Process]
) -> None:
    """Argo CD deletes what has the label `app.kubernetes.io/instance` of an application, unless it has an owner."""
    shop = f"{namespace}-shop"
    kubectl.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop}})
    kubectl.api.create(storage("mine", namespace, size="medium", allowedNamespaces=[shop]))
    kubectl.api.create(consumer("MCPServer", shop, sessionStorageRef={"name": "mine", "namespace": namespace}))
    await_ready(kubectl, namespace, "mine")
    copy = ("get", "secret", names.mirrored_connection_secret("mine", namespace), "-n", shop, "-o", "json")
    eventually(lambda: bool(kubectl(*copy)), what="the connection Secret is copied")
    assert names.LABEL_APP_INSTANCE not in json.loads(kubectl(*copy))["metadata"]["labels"]
    selector = ("--all-namespaces", "-l", f"{names.LABEL_APP_INSTANCE}=mine", "-o", "json")
    tracked = json.loads(kubectl("get", EVERYTHING, *selector))["items"]
    assert {"Secret", "StatefulSet", "Pod", "PersistentVolumeClaim"} <= {obj["kind"] for obj in tracked}
    assert [obj["metadata"]["name"] for obj in tracked if not obj["metadata"].get("ownerReferences")] == []
