"""Installs the chart as a user would, and makes sure that the pods run the image of this checkout."""

from __future__ import annotations

import json
import tarfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.demo import foreign
from deploy.demo.kube import until
from deploy.local import images as local_images
from deploy.local import paths

if TYPE_CHECKING:
    from deploy.demo.images import Images
    from deploy.demo.kube import Kube, Object

RELEASE: Final = "session-storage"
NAMESPACE: Final = "session-storage-system"
CHART: Final = paths.REPOSITORY / "deploy" / "chart"
PROCESSES: Final = (f"{RELEASE}-webhook", f"{RELEASE}-reconciler")
PODS: Final = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/name=toolhive-session-storage"
EVERY_STATUS: Final = ("--deployed", "--failed", "--pending", "--uninstalling")
"""Makes Helm list releases of every status; `--all` would too, but only Helm 3 has it."""
CONSUMERS: Final = ("mcpservers", "mcpremoteproxies", "virtualmcpservers", "mcpexternalauthconfigs")
WEBHOOK_CONFIGURATION: Final = f"{RELEASE}-webhook"
READY_SECONDS: Final = 60


def install(kube: Kube, images: Images, *values: str) -> None:
    """Install or upgrade the release, and return when it is at work.

    Args:
        kube: The cluster.
        images: Images of both processes and of Valkey.
        values: Further options for Helm.

    Raises:
        DemoError: The release was not ready in time, or a cluster that is not the local one lacks something.
    """
    if not kube.is_local:
        foreign.check(kube, images)
    if not is_upgradable(kube):
        uninstall(kube)
    kube.run_helm(
        *("upgrade", "--install", RELEASE, CHART, f"--namespace={NAMESPACE}", "--create-namespace"),
        *("--wait", f"--timeout={READY_SECONDS}s"),
        *images.chart_values(),
        *values,
    )
    await_at_work(kube)


def is_upgradable(kube: Kube) -> bool:
    """Tell whether Helm can install or upgrade: no earlier attempt was interrupted or failed."""
    releases = json.loads(kube.run_helm("list", *EVERY_STATUS, f"--namespace={NAMESPACE}", "--output=json"))
    return all(release["status"] == "deployed" for release in releases if release["name"] == RELEASE)


def uninstall(kube: Kube) -> None:
    """Remove the release; the CRD and every storage stay."""
    kube.run_helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--wait", "--ignore-not-found")


def await_at_work(kube: Kube) -> None:
    """Wait for what the reconciler does after it has become ready: the webhook's `caBundle`, ToolHive's CRD field."""
    until("the webhook's caBundle is filled in", lambda: is_trusted(kube), READY_SECONDS)
    for plural in CONSUMERS:
        until(f"{plural} have spec.sessionStorageRef", partial(has_field, kube, plural), READY_SECONDS)


def is_trusted(kube: Kube) -> bool:
    """Tell whether the API server trusts every webhook of the release."""
    configuration = kube.get("mutatingwebhookconfiguration", WEBHOOK_CONFIGURATION)
    webhooks = (configuration or {}).get("webhooks", [])
    return bool(webhooks) and all(webhook["clientConfig"].get("caBundle") for webhook in webhooks)


def has_field(kube: Kube, plural: str) -> bool:
    """Tell whether one of ToolHive's kinds has `spec.sessionStorageRef` in every version."""
    crd = kube.get("customresourcedefinition", f"{plural}.toolhive.stacklok.dev") or {"spec": {"versions": []}}
    schemas = [version["schema"]["openAPIV3Schema"] for version in crd["spec"]["versions"]]
    return all("sessionStorageRef" in schema["properties"]["spec"]["properties"] for schema in schemas)


def pods(kube: Kube) -> list[Object]:
    """List the pods of both processes that are not being deleted."""
    found = kube.items("pods", NAMESPACE, f"--selector={PODS}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def restart_outdated(kube: Kube) -> bool:
    """Restart the pods if they run an older image of the same name; return whether they did.

    A new build of the local image has the same name, so Helm sees no change.
    """
    if not kube.is_local:
        return False
    running = {
        status["imageID"].rpartition(":")[2]
        for pod in pods(kube)
        for status in pod["status"].get("containerStatuses", [])
    }
    if running <= digests(local_images.archive(local_images.PRODUCT)):
        return False
    for name in PROCESSES:
        kube.run("rollout", "restart", f"deployment/{name}", namespace=NAMESPACE)
    for name in PROCESSES:
        kube.run("rollout", "status", f"deployment/{name}", f"--timeout={READY_SECONDS}s", namespace=NAMESPACE)
    # Kubernetes calls a rollout done while old pods still end, and a webhook's takes ten seconds for that.
    until("the outdated pods are gone", lambda: _are_all_staying(kube), READY_SECONDS)
    return True


def _are_all_staying(kube: Kube) -> bool:
    return len(pods(kube)) == len(kube.items("pods", NAMESPACE, f"--selector={PODS}"))


def digests(archive: Path) -> set[str]:
    """List the digests in an OCI archive; a node names the image by that of its manifest or its configuration."""
    with tarfile.open(archive) as tar:
        return {Path(member.name).name for member in tar if member.name.startswith("blobs/")}
