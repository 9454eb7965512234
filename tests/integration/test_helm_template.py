"""What `helm template` prints is what `helm install` makes, so that Argo CD and kubectl install the same product.

It is also what `helm upgrade` makes of a much older installation, by the command that we document. A control plane of
its own: half of the chart's objects can exist only once in a cluster.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from deploy.local import binaries, helm
from shared.objects.resources import Object
from tests.integration.chart import former_chart
from tests.integration.chart.pods import environment, ports, template, workload
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
PAGES = [ROOT / "docs" / "howto" / page for page in ("install.md", "upgrade.md")]
HELMS = [helm.helm, partial(binaries.binary, "helm")]
HELM_IDS = ["the local cluster's Helm", "the Helm of the major version before"]
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
    return set(objects(manifests))


def objects(manifests: str) -> dict[tuple[str, str], Object]:
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in yaml.safe_load_all(manifests) if obj}


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
    [(HELMS[0], ()), (HELMS[1], (VALUES,))],
    ids=[f"{HELM_IDS[0]}, defaults", f"{HELM_IDS[1]}, some values"],
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


def documented_upgrade(tag: str) -> list[str]:
    """Return what our pages tell users to run, but for the wait: no kubelet starts pods here."""
    pages = "".join(page.read_text() for page in PAGES)
    (said,) = set(re.findall(r"^helm (upgrade (?:.*\\\n)*.*)", pages, re.MULTILINE))
    words = shlex.split(said.replace("\\\n", "").replace("<new tag>", tag))
    assert words.pop() == "--wait"
    return [CHART if word == "deploy/chart" else word for word in words]


@pytest.mark.parametrize("program", HELMS, ids=HELM_IDS)
def test_the_documented_upgrade_brings_new_defaults_to_an_installation_that_knew_none_of_them(
    kubectl: Kubectl, program: Callable[[], Path], tmp_path: Path
) -> None:
    run, chosen = Helm(program(), kubectl.kubeconfig), "--set=webhook.replicas=3,logLevel=DEBUG"
    secret = "--set=imagePullSecrets[0].name=regcred"
    run("install", RELEASE, str(former_chart.unpacked(tmp_path)), chosen, "--set=imagePullSecrets={regcred}")
    try:
        before = objects(run("get", "manifest", RELEASE))
        told = environment(template(list(before.values()), "reconciler"))
        assert not {"ROTATION_WAVE_PERCENT", "DRAIN_TAINTS"} & told.keys()
        assert "ValidatingAdmissionPolicy" not in {kind for kind, _ in before}
        # That chart had another form of this value, and the page says how to write it now.
        run(*documented_upgrade("new"), secret)
        rendered = run("template", "--no-hooks", VERSION, RELEASE, CHART, chosen, secret, "--set=image.tag=new")
        assert objects(run("get", "manifest", RELEASE)) == objects(rendered)
        there = json.loads(kubectl("get", "--namespace", NAMESPACE, "-f", "-", "-o", "json", stdin=rendered))["items"]
        told = environment(template(there, "reconciler"))
        assert (told["ROTATION_WAVE_PERCENT"], told["LOG_LEVEL"]) == ("10", "DEBUG")
        assert workload(there, "webhook")["spec"]["replicas"] == 3
        assert ports(template(there, "webhook"))["https"] == 10250
        guarding = {obj["kind"] for obj in there if obj["metadata"]["name"] == f"{RELEASE}-injection"}
        assert guarding == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    finally:
        run("uninstall", "--no-hooks", "--wait", RELEASE)
        kubectl("delete", CRD, "--ignore-not-found")
