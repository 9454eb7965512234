"""Clusters of different platforms, each played by a namespace of one cluster: with rules of its own, and a release.

A release is confined to its namespace (`watchNamespaces`), and makes the storage there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import yaml

from shared.objects.resources import DEPLOYMENTS, PODS, Object
from tests.integration.chart import rules
from tests.integration.chart.pods import container, resources
from tests.integration.control_plane import Kubectl
from tests.integration.installation import CHART, helm_template
from tests.integration.processes import ROOT
from tests.support.pages import PLATFORMS as PAGE
from tests.support.pages import chart_values

FILES = {file.stem: file for file in sorted((ROOT / "docs" / "howto" / "platforms").glob("*.yaml"))}
CRD = CHART / "files" / "sessionstorages.crd.yaml"
DRY_RUN = "--dry-run=server"


class Rules(NamedTuple):
    """The rules of a platform.

    Attributes:
        of: Builds them for a namespace.
        are_in_force: Tells whether the API server heeds them in a namespace, by what it makes of a pod template.
    """

    of: Callable[[str], list[Object]]
    are_in_force: Callable[[Kubectl, str, Object], bool]


class Platform(NamedTuple):
    """A cluster, played by a namespace.

    Attributes:
        name: Name of the namespace and of the release in it.
        options: Helm's.
        rules: What admission does there.
        level: The Pod Security Standard that the namespace enforces.
        size: Size of the storage there.
        has_webhook: Whether the webhook runs. Elsewhere the API server goes on without it.
    """

    name: str
    options: tuple[str, ...] = ()
    rules: Rules | None = None
    level: str = "restricted"
    size: str = "small"
    has_webhook: bool = False

    @property
    def namespace(self) -> Object:
        labels = {"pod-security.kubernetes.io/enforce": self.level}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}}

    def rendered(self) -> str:
        """Have Helm render the release as a GitOps tool does: the hook is for the end of an installation."""
        confined = (f"--set=watchNamespaces[0]={self.name}", "--set=crds.enabled=false", "--no-hooks")
        policy = () if self.has_webhook else ("--set=webhook.failurePolicy=Ignore",)
        done = helm_template(*self.options, *confined, *policy, release=self.name, namespace=self.name)
        assert done.returncode == 0, done.stderr
        return done.stdout


def for_platform(name: str) -> tuple[str, ...]:
    """Return Helm's options for the values of a platform."""
    return ("--values", str(FILES[name]))


def joining() -> Iterator[str]:
    """List Helm's options for what the page says about joining Istio's mesh; Valkey's pods join Linkerd's too."""
    for block in chart_values(PAGE):
        if "true" in json.dumps([block.get("podLabels"), block.get("valkey")]):
            yield from (f"--set-json={key}={json.dumps(value)}" for key, value in block.items())
    yield '--set-json=valkey.podAnnotations={"linkerd.io/inject":"enabled"}'


def objects_of(rendered: str) -> list[Object]:
    return [obj for obj in yaml.safe_load_all(rendered) if obj]


def lone_pod(namespace: str, pod: Object) -> Object:
    """Build a pod of nobody's out of one of our pod templates."""
    spec = {**pod["spec"], "serviceAccountName": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lone", "namespace": namespace}, "spec": spec}


def deployed(kubectl: Kubectl, release: str) -> dict[str, Object]:
    """Return the Deployments of a release by their component."""
    found = kubectl.api.list(DEPLOYMENTS, release)
    return {obj["metadata"]["labels"]["app.kubernetes.io/component"]: obj for obj in found}


def own_pods(kubectl: Kubectl, release: str) -> dict[str, list[Object]]:
    """Return the pods of both processes of a release by their component."""
    found: dict[str, list[Object]] = {"webhook": [], "reconciler": []}
    for pod in kubectl.api.list(PODS, release, f"app.kubernetes.io/instance={release}"):
        found[pod["metadata"]["labels"]["app.kubernetes.io/component"]].append(pod)
    return found


def containers(pod: Object) -> set[str]:
    return {each["name"] for each in pod["spec"]["containers"]}


def _assigns_ids(kubectl: Kubectl, namespace: str, pod: Object) -> bool:
    """Our own ids are refused, and a pod that names none gets one."""
    ours = lone_pod(namespace, pod)
    without = {key: value for key, value in pod["spec"]["securityContext"].items() if not key.startswith("runAs")}
    open_one = lone_pod(namespace, {"spec": pod["spec"] | {"securityContext": without | {"runAsNonRoot": True}}})
    made = kubectl.api.create(open_one, DRY_RUN)
    is_given = container(made)["securityContext"].get("runAsUser") == rules.FIRST_ID
    return is_given and rules.OUT_OF_RANGE in kubectl.api.refusal(ours, DRY_RUN)


def _raises_requests(kubectl: Kubectl, namespace: str, pod: Object) -> bool:
    """Pods and workloads get at least Autopilot's minima."""
    least = {"cpu": rules.LEAST_CPU, "memory": rules.LEAST_MEMORY, "ephemeral-storage": "1Gi"}
    labels = {"app": "lone"}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "lone", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        },
    }
    made = (kubectl.api.create(lone_pod(namespace, pod), DRY_RUN), kubectl.api.create(workload, DRY_RUN))
    return [resources(each) for each in made] == 2 * [{"requests": least, "limits": least}]


def _injects(kubectl: Kubectl, namespace: str, pod: Object) -> bool:
    made = kubectl.api.create(lone_pod(namespace, pod), DRY_RUN)
    return containers(made) == {"webhook", rules.ISTIO, rules.LINKERD}


OPENSHIFT = Rules(rules.ids_in_a_range, _assigns_ids)
AUTOPILOT = Rules(rules.resources_as_autopilot_leaves_them, _raises_requests)
MESHES = Rules(rules.sidecars, _injects)
ALL = (
    Platform("openshift", for_platform("openshift"), OPENSHIFT),
    # The namespace's level is what the page says of `webhook.hostNetwork`.
    Platform("eks", for_platform("eks"), level="privileged", size="medium", has_webhook=True),
    Platform("gke-autopilot", for_platform("gke-autopilot"), AUTOPILOT, size="medium"),
    Platform("autopilot", (), AUTOPILOT),
    Platform("mesh", (), MESHES, level="privileged"),
    Platform("joined", tuple(joining()), MESHES, level="privileged"),
)
BY_NAME = {platform.name: platform for platform in ALL}
"""The three of the page; Autopilot with no values; meshes that the pods keep out of, or join."""
