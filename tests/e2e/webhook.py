"""The webhook's pods: there, replaced or gone."""

from __future__ import annotations

from deploy.demo.installation import NAMESPACE, PODS, RELEASE
from deploy.demo.kube import Kube, Object, until
from tests.e2e.conftest import Run

DEPLOYMENT = f"deployment/{RELEASE}-webhook"
SELECTOR = f"--selector={PODS},app.kubernetes.io/component=webhook"
ROLLOUT_SECONDS = 90


def pods(kube: Kube) -> set[str]:
    """Name the pods that are not on their way out."""
    return {pod["metadata"]["name"] for pod in _all(kube) if "deletionTimestamp" not in pod["metadata"]}


def _all(kube: Kube) -> list[Object]:
    return kube.items("pods", NAMESPACE, SELECTOR)


def keep_logs(run: Run) -> None:
    """Keep what the pods have said, before they are taken away."""
    run.logs.append(run.kube.run("logs", SELECTOR, "--tail=-1", "--ignore-errors", namespace=NAMESPACE))


def await_whole(kube: Kube) -> None:
    kube.run("rollout", "status", DEPLOYMENT, f"--timeout={ROLLOUT_SECONDS}s", namespace=NAMESPACE)


def restart(kube: Kube) -> None:
    """Replace all pods by a rollout."""
    kube.run("rollout", "restart", DEPLOYMENT, namespace=NAMESPACE)
    await_whole(kube)


def delete_one_by_one(kube: Kube) -> None:
    """Delete every pod, each when the one before it has a successor."""
    for pod in sorted(pods(kube)):
        kube.run("delete", "pod", pod, namespace=NAMESPACE)
        await_whole(kube)


def stop(kube: Kube) -> None:
    kube.run("scale", DEPLOYMENT, "--replicas=0", namespace=NAMESPACE)
    until("no webhook is left", lambda: not _all(kube), ROLLOUT_SECONDS)


def start(kube: Kube) -> None:
    kube.run("scale", DEPLOYMENT, "--replicas=2", namespace=NAMESPACE)
    await_whole(kube)
