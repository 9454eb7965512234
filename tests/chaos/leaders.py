"""Finds, moves and replaces the reconcilers' pods, above all the one that leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.demo.errors import Surprise
from deploy.demo.installation import NAMESPACE, PODS, RELEASE
from deploy.demo.kube import until
from tests.chaos import processes
from tests.e2e.leader import TAKEOVER_SECONDS, leader

if TYPE_CHECKING:
    from deploy.demo.kube import Kube, Object

DEPLOYMENT: Final = f"deployment/{RELEASE}-reconciler"
REPLICAS: Final = 2
ATTEMPTS: Final = 4


def pods(kube: Kube) -> list[Object]:
    """List the reconcilers' pods."""
    return kube.items("pods", NAMESPACE, f"--selector={PODS},app.kubernetes.io/component=reconciler")


def leading(kube: Kube) -> Object:
    """Find the pod that leads; wait until there is one."""

    def found() -> Object | None:
        name = leader(kube)
        return next((pod for pod in pods(kube) if pod["metadata"]["name"] == name), None)

    return until("there is a leader", found, TAKEOVER_SECONDS)


def await_other(kube: Kube, name: str) -> None:
    """Wait until another pod than the named one leads."""
    until("there is another leader", lambda: leader(kube) not in {"", name}, TAKEOVER_SECONDS)


def await_recovered(kube: Kube) -> None:
    """Wait until all reconcilers are ready and one of them leads."""
    kube.run("rollout", "status", DEPLOYMENT, f"--timeout={TAKEOVER_SECONDS}s", namespace=NAMESPACE)
    leading(kube)


def replace_restarted(kube: Kube) -> None:
    """Replace pods whose container was restarted, because kubelet's back-off grows with each restart."""
    for pod in pods(kube):
        if processes.restarts(pod):
            kube.run("delete", "pod", pod["metadata"]["name"], namespace=NAMESPACE)
    await_recovered(kube)


def scale(kube: Kube, replicas: int) -> None:
    """Scale the reconciler's Deployment, and wait until it has this number of pods."""
    kube.run("scale", DEPLOYMENT, f"--replicas={replicas}", namespace=NAMESPACE)
    until(f"there are {replicas} reconcilers", lambda: len(pods(kube)) == replicas, TAKEOVER_SECONDS)


def lead_elsewhere(kube: Kube, node: str) -> None:
    """Delete the leader's pod until a pod on another node than this one leads.

    Raises:
        Surprise: Pods on this node led again after every attempt.
    """
    for _ in range(ATTEMPTS):
        if (pod := leading(kube))["spec"]["nodeName"] != node:
            return
        kube.run("delete", "pod", pod["metadata"]["name"], namespace=NAMESPACE)
        await_recovered(kube)
    raise Surprise(f"the leader is on {node} even after {ATTEMPTS} of its pods were deleted")
