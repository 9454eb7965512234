"""Steps that set the scene: the cluster, the product on it, and the proposal's own manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.demo import installation, samples, storages
from deploy.demo.stage import EXTERNAL_NAMESPACE, NAMESPACE

if TYPE_CHECKING:
    from deploy.demo.kube import Object
    from deploy.demo.stage import Stage

FINDINGS: Final = (
    ((NAMESPACE, "dev-storage"), "Ready", "StorageReady"),
    (("toolhive-system", "prod-storage"), "Ready", "StorageReady"),
    (("toolhive-system", "prod-storage"), "Redundant", "InSync"),
    ((EXTERNAL_NAMESPACE, "external-storage"), "Ready", "DnsFailed"),
    (("toolhive-system", "shared-storage"), "Ready", "SecretNotFound"),
)
"""What each storage of the proposal reports; two of them lack something that the proposal does not create."""


def show_cluster(stage: Stage) -> None:
    """Show the nodes and ToolHive's own operator."""
    nodes = stage.kube.items("nodes")
    version = nodes[0]["status"]["nodeInfo"]["kubeletVersion"]
    stage.narrator.saw(f"{len(nodes)} nodes with Kubernetes {version}: {', '.join(map(name_of, nodes))}")
    for operator in filter(is_toolhive, stage.kube.items("deployments")):
        (container,) = operator["spec"]["template"]["spec"]["containers"]
        stage.narrator.saw(f"ToolHive's operator runs {container['image']}")


def install(stage: Stage) -> None:
    """Install the chart of this checkout and wait until it is at work."""
    stage.narrator.did(
        f"helm upgrade --install {installation.RELEASE} deploy/chart -n {installation.NAMESPACE} --wait"
        f" {' '.join(stage.images.chart_values())}"
    )
    installation.install(stage.kube, stage.images)
    if installation.restart_outdated(stage.kube):
        stage.narrator.did("restarted pods that ran an older build of the image")
    for pod in installation.pods(stage.kube):
        stage.narrator.saw(f"pod {name_of(pod)} on {pod['spec']['nodeName']}: {pod['status']['phase']}")


def apply_proposal(stage: Stage) -> None:
    """Apply every manifest that the proposal prints, and wait for what each storage reports."""
    for namespace in (NAMESPACE, EXTERNAL_NAMESPACE):
        stage.kube.create_namespace(namespace)
    for manifest in samples.PROPOSAL:
        namespace = EXTERNAL_NAMESPACE if "external" in manifest.name else NAMESPACE
        stage.narrator.did(f"kubectl apply -f deploy/samples/{manifest.name}")
        for line in stage.kube.apply(*samples.load(manifest, stage.images, namespace)):
            stage.narrator.saw(line)
    for key, kind, reason in FINDINGS:
        finding = storages.await_finding(stage.kube, key, kind, reason)
        stage.narrator.saw(f"{'/'.join(key)}: {kind}={finding['status']}, {reason}: {finding['message']}")


def name_of(obj: Object) -> str:
    """Read an object's name."""
    name: str = obj["metadata"]["name"]
    return name


def is_toolhive(deployment: Object) -> bool:
    """Tell whether a Deployment is the one of ToolHive's operator chart."""
    return name_of(deployment) == "toolhive-operator"
