"""The values for platforms, rendered by Helm and applied to a real API server with the platform's rules.

The API server is this module's own, about 15 s: each release has webhooks of its own, and nobody answers them.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import yaml

from deploy.local import binaries
from deploy.local.loopback import ControlPlane
from reconciler import settings as reconciler_settings
from shared.objects.resources import DEPLOYMENTS, PODS, Object
from tests.integration.chart import rules
from tests.integration.chart.pods import container, environment, ports, template
from tests.integration.control_plane import Kubectl, running_control_plane
from tests.integration.installation import CHART, NAMESPACE, chart_objects, helm_template
from tests.integration.processes import ROOT, eventually
from webhook import settings as webhook_settings

PAGE = ROOT / "docs" / "howto" / "platforms.md"
FILES = {file.stem: file for file in sorted((ROOT / "docs" / "howto" / "platforms").glob("*.yaml"))}
DRY_RUN = "--dry-run=server"
OPENSHIFT_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "securitycontextconstraints.security.openshift.io"},
    "spec": {
        "group": "security.openshift.io",
        "scope": "Cluster",
        "names": {"kind": "SecurityContextConstraints", "plural": "securitycontextconstraints"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


@pytest.fixture(scope="module")
def own_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path_factory.mktemp("platforms") / "control-plane") as control_plane:
        yield control_plane


@pytest.fixture(scope="module")
def kubectl(own_control_plane: ControlPlane) -> Kubectl:
    return Kubectl(own_control_plane.kubeconfig)


def for_platform(name: str) -> tuple[str, ...]:
    """Return Helm's options for the values of a platform."""
    return ("--values", str(FILES[name]))


def make_namespace(kubectl: Kubectl, name: str, level: str = "restricted") -> None:
    """Create a namespace that enforces a Pod Security Standard, and wait until it takes pods."""
    labels = {"pod-security.kubernetes.io/enforce": level}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    eventually(lambda: "default" in kubectl("get", "serviceaccounts", "-n", name), what="the namespace takes pods")


def install(kubectl: Kubectl, release: str, *options: str) -> list[Object]:
    """Apply the chart as a GitOps tool does, into the namespace of its own name; return what was rendered."""
    # The hook is for the end of an installation.
    rendered = helm_template(*options, "--no-hooks", release=release, namespace=release)
    assert rendered.returncode == 0, rendered.stderr
    kubectl("apply", "--server-side", "-f", "-", stdin=rendered.stdout)
    return [obj for obj in yaml.safe_load_all(rendered.stdout) if obj]


def own_pods(kubectl: Kubectl, release: str) -> dict[str, list[Object]]:
    """Wait until Kubernetes has made two pods of each process, and return them by their process."""

    def by_component() -> dict[str, list[Object]]:
        found: dict[str, list[Object]] = {"webhook": [], "reconciler": []}
        for pod in kubectl.api.list(PODS, release):
            found[pod["metadata"]["labels"]["app.kubernetes.io/component"]].append(pod)
        return found

    eventually(lambda: [len(each) for each in by_component().values()] == [2, 2], what="two pods of each process")
    return by_component()


def lone_pod(namespace: str, pod: Object) -> Object:
    """Build a pod of nobody's out of one of our pod templates."""
    spec = {**pod["spec"], "serviceAccountName": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lone", "namespace": namespace}, "spec": spec}


def deployed(kubectl: Kubectl, release: str) -> dict[str, Object]:
    """Return the Deployments of a release by their component."""
    found = kubectl.api.list(DEPLOYMENTS, release)
    return {obj["metadata"]["labels"]["app.kubernetes.io/component"]: obj for obj in found}


def test_there_is_a_file_for_each_platform_of_the_page() -> None:
    assert list(FILES) == ["eks", "gke-autopilot", "openshift"]
    assert [file.name for file in FILES.values() if f"](platforms/{file.name})" not in PAGE.read_text()] == []


def test_helm_takes_all_values_that_the_page_shows(tmp_path: Path) -> None:
    shown = [
        yaml.safe_load(block)
        for block in re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    ]
    values = [block for block in shown if "apiVersion" not in block]
    assert len(values) >= 3
    for number, block in enumerate(values):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(block))
        assert chart_objects(options=("--values", str(file))) != chart_objects()


@pytest.mark.parametrize("platform", FILES)
def test_helm_renders_a_platforms_values_to_something_that_the_defaults_are_not(platform: str) -> None:
    assert chart_objects(options=for_platform(platform)) != chart_objects()


@pytest.mark.parametrize("platform", FILES)
def test_both_processes_take_what_a_platforms_values_tell_them(platform: str) -> None:
    objects = chart_objects(options=for_platform(platform))
    own = {"POD_NAME": "one", "POD_NAMESPACE": NAMESPACE}
    told = webhook_settings.Settings.from_environ(own | environment(template(objects, "webhook")))
    assert told.webhook_port == ports(template(objects, "webhook"))["https"]
    assert reconciler_settings.Settings.from_environ(own | environment(template(objects, "reconciler")))


def test_on_openshift_all_pods_take_the_ids_of_their_namespace(kubectl: Kubectl) -> None:
    make_namespace(kubectl, "openshift")
    kubectl.apply(*rules.ids_in_a_range("openshift"))
    refused = lone_pod("openshift", template(chart_objects(), "webhook"))
    eventually(lambda: rules.OUT_OF_RANGE in kubectl.api.refusal(refused, DRY_RUN), what="our own ids are refused")
    install(kubectl, "openshift", *for_platform("openshift"))
    for pod in chain.from_iterable(own_pods(kubectl, "openshift").values()):
        assert not {"runAsUser", "runAsGroup"} & set(pod["spec"]["securityContext"])
    assert "FailedCreate" not in kubectl("get", "events", "-n", "openshift")


def test_helm_finds_out_by_itself_that_the_cluster_is_openshift(
    kubectl: Kubectl, own_control_plane: ControlPlane
) -> None:
    kubectl.apply(OPENSHIFT_CRD)
    kubectl("wait", "--for=condition=Established", "crd/securitycontextconstraints.security.openshift.io")
    command = [str(binaries.binary("helm")), "install", "asking", str(CHART), "--namespace=default"]
    options = [f"--kubeconfig={own_control_plane.kubeconfig}", "--dry-run=server", "--set=crds.enabled=false"]

    def ids_are_left_out() -> bool:
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return "runAsNonRoot: true" in done.stdout and "runAsUser" not in done.stdout

    eventually(ids_are_left_out, what="Helm sees OpenShift's API")


def test_on_eks_the_webhook_is_where_the_control_plane_reaches_it(kubectl: Kubectl) -> None:
    make_namespace(kubectl, "eks", "privileged")
    install(kubectl, "eks", *for_platform("eks"))
    pods = own_pods(kubectl, "eks")
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
    reconciler = container(deployed(kubectl, "eks")["reconciler"]["spec"]["template"])
    assert any("gp3" in item.get("value", "") for item in reconciler["env"])


@pytest.fixture(scope="module")
def autopilot(kubectl: Kubectl) -> None:
    """Install the chart where admission rewrites what our Deployments ask for."""
    make_namespace(kubectl, "autopilot")
    kubectl.apply(*rules.resources_as_autopilot_leaves_them("autopilot"))
    least = {"cpu": rules.LEAST_CPU, "memory": rules.LEAST_MEMORY}

    def is_rewritten() -> bool:
        install(kubectl, "autopilot")
        found = [container(each["spec"]["template"])["resources"] for each in deployed(kubectl, "autopilot").values()]
        return found == 2 * [{"requests": least, "limits": least}]

    eventually(is_rewritten, what="admission rewrites resources")


@pytest.mark.usefixtures("autopilot")
def test_resources_that_admission_rewrites_restart_nothing_when_the_chart_is_applied_again(kubectl: Kubectl) -> None:
    def generations() -> list[int]:
        return [each["metadata"]["generation"] for each in deployed(kubectl, "autopilot").values()]

    install(kubectl, "autopilot")
    own_pods(kubectl, "autopilot")
    before = generations()
    install(kubectl, "autopilot")
    assert generations() == before


@pytest.mark.usefixtures("autopilot")
def test_on_autopilot_what_the_values_say_is_what_runs(kubectl: Kubectl) -> None:
    rendered = install(kubectl, "autopilot", *for_platform("gke-autopilot"))
    for component, deployment in deployed(kubectl, "autopilot").items():
        wanted = template(rendered, component, "autopilot")
        assert container(deployment["spec"]["template"])["resources"] == container(wanted)["resources"]
    assert ports(template(rendered, "webhook", "autopilot"))["https"] == 10250


def test_an_injector_of_sidecars_leaves_our_pods_alone(kubectl: Kubectl) -> None:
    make_namespace(kubectl, "mesh", "privileged")
    kubectl.apply(*rules.sidecars("mesh"))
    other = lone_pod("mesh", template(chart_objects(), "webhook"))

    def is_injected() -> bool:
        made = kubectl.api.create(other, DRY_RUN)
        return [each["name"] for each in made["spec"]["containers"]] == ["webhook", rules.SIDECAR]

    eventually(is_injected, what="pods of others get a sidecar")
    install(kubectl, "mesh")
    for pod in chain.from_iterable(own_pods(kubectl, "mesh").values()):
        assert container(pod)["name"] in {"webhook", "reconciler"}
