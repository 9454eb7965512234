"""What `helm template` prints is what `helm install` makes, so that Argo CD and kubectl install the same product.

A control plane of its own: half of the chart's objects can exist only once in a cluster.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from deploy.local import binaries, helm
from shared.objects.resources import Object
from tests.integration.control_plane import Kubectl, running_control_plane
from tests.integration.installation import NAMESPACE, RELEASE
from tests.integration.processes import ROOT

CHART = str(ROOT / "deploy" / "chart")
CRD = "crd/sessionstorages.toolhive.stacklok.dev"
GIVEN = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
"""What the API server gives to every object."""
NOTES = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace", "deployment.kubernetes.io/revision")
"""Annotations of Helm itself and of Kubernetes' controllers."""
OF_HELM = "app.kubernetes.io/managed-by"
"""A label that Helm itself gives to every object, also to those whose manifest has none, such as the CRD."""
ADDRESSES = ("clusterIP", "clusterIPs")
KINDS = {"CustomResourceDefinition", "Deployment", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy"}
VERSION = f"--kube-version={binaries.KUBERNETES_VERSION}"
"""Helm renders for a version that it was built with, and a build from source knows none."""
VALUES = "--set=webhook.failurePolicy=Ignore,valkey.updatesAtOnce=3,webhook.replicas=3"


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    with running_control_plane(tmp_path_factory.mktemp("template") / "control-plane") as control_plane:
        kubectl = Kubectl(control_plane.kubeconfig)
        kubectl("create", "namespace", NAMESPACE)
        yield kubectl


@dataclass(frozen=True)
class Helm:
    """Some release of Helm, as the administrator."""

    program: Path
    kubeconfig: Path

    def __call__(self, *arguments: str) -> str:
        base = [str(self.program), f"--kubeconfig={self.kubeconfig}", f"--namespace={NAMESPACE}"]
        done = subprocess.run([*base, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def keys(manifests: str) -> set[tuple[str, str]]:
    return {(obj["kind"], obj["metadata"]["name"]) for obj in yaml.safe_load_all(manifests) if obj}


def served(kubectl: Kubectl, manifests: str) -> dict[str, Object]:
    """Read the objects that manifests name, without what differs from one object to the next of the same manifest."""
    found = kubectl("get", "--namespace", NAMESPACE, "-f", "-", "-o", "json", stdin=manifests)
    return {f"{obj['kind']} {obj['metadata']['name']}": comparable(obj) for obj in json.loads(found)["items"]}


def comparable(obj: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in GIVEN}
    annotations = {key: value for key, value in metadata.pop("annotations", {}).items() if key not in NOTES}
    labels = {key: value for key, value in metadata.pop("labels", {}).items() if key != OF_HELM}
    rest = {key: value for key, value in obj.items() if key not in {"metadata", "status"}}
    if obj["kind"] == "Service":
        rest["spec"] = {key: value for key, value in obj["spec"].items() if key not in ADDRESSES}
    return {**rest, "metadata": metadata | {"annotations": annotations, "labels": labels}}


@pytest.mark.parametrize(
    ("program", "values"),
    [(helm.helm, ()), (partial(binaries.binary, "helm"), (VALUES,))],
    ids=["the local cluster's Helm, defaults", "the Helm of the major version before, some values"],
)
def test_what_is_rendered_and_applied_server_side_is_what_helm_installs(
    kubectl: Kubectl, program: Callable[[], Path], values: tuple[str, ...]
) -> None:
    run = Helm(program(), kubectl.kubeconfig)
    # The hook of an uninstallation would stop the reconciler: no tool may apply it with the rest.
    rendered = run("template", "--no-hooks", VERSION, RELEASE, CHART, *values)
    run("install", RELEASE, CHART, *values)
    assert keys(run("get", "manifest", RELEASE)) == keys(rendered)
    installed = served(kubectl, rendered)
    run("uninstall", "--no-hooks", "--wait", RELEASE)
    kubectl("delete", CRD)
    kubectl("apply", "--server-side", "--namespace", NAMESPACE, "-f", "-", stdin=rendered)
    applied = served(kubectl, rendered)
    kubectl("delete", "--namespace", NAMESPACE, "-f", "-", stdin=rendered)

    assert {kind for kind, _ in keys(rendered)} >= KINDS
    assert len(installed) == len(keys(rendered))
    assert applied.keys() == installed.keys()
    for name, obj in installed.items():
        assert applied[name] == obj, name
