"""The reconcilers: who leads, where, and that all of them are there."""

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
    """Find the pod that leads, or wait until one does."""

    def found() -> Object | None:
        name = leader(kube)
        return next((pod for pod in pods(kube) if pod["metadata"]["name"] == name), None)

    return until("there is a leader", found, TAKEOVER_SECONDS)


def await_other(kube: Kube, name: str) -> None:
    """Wait until another pod leads than this one."""
    until("there is another leader", lambda: leader(kube) not in {"", name}, TAKEOVER_SECONDS)


def await_recovered(kube: Kube) -> None:
    """Wait until all of them are ready and one of them leads."""
    kube.run("rollout", "status", DEPLOYMENT, f"--timeout={TAKEOVER_SECONDS}s", namespace=NAMESPACE)
    leading(kube)


def refresh(kube: Kube) -> None:
    """Replace those whose container has ended before: kubelet would wait longer each time it starts one again."""
    for pod in pods(kube):
        if processes.restarts(pod):
            kube.run("delete", "pod", pod["metadata"]["name"], namespace=NAMESPACE)
    await_recovered(kube)


def scale(kube: Kube, replicas: int) -> None:
    """Have so many of them, and wait until that is so."""
    kube.run("scale", DEPLOYMENT, f"--replicas={replicas}", namespace=NAMESPACE)
    until(f"there are {replicas} reconcilers", lambda: len(pods(kube)) == replicas, TAKEOVER_SECONDS)


def lead_elsewhere(kube: Kube, node: str) -> None:
    """Have the leader be on another node than this one.

    Raises:
        Surprise: It keeps coming back.
    """
    for _ in range(ATTEMPTS):
        if (pod := leading(kube))["spec"]["nodeName"] != node:
            return
        kube.run("delete", "pod", pod["metadata"]["name"], namespace=NAMESPACE)
        await_recovered(kube)
    raise Surprise(f"the leader is on {node} whatever is done")
