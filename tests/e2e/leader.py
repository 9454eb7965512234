"""The reconciler that leads, and its end."""

from __future__ import annotations

from deploy.demo.installation import NAMESPACE, RELEASE
from deploy.demo.kube import Kube, until
from tests.e2e.conftest import Run
from tests.e2e.storages import read

TAKEOVER_SECONDS = 60
"""A dead leader's lease lasts 15 s; the rest is provisioning with room for a slow machine."""


def leader(kube: Kube) -> str:
    """Name the pod that leads; empty while the lease is still held by one that is gone."""
    holder: str = read(kube, "lease", f"{RELEASE}-reconciler", NAMESPACE)["spec"].get("holderIdentity", "")
    return holder if holder and kube.get("pod", holder, NAMESPACE) is not None else ""


def kill_leader(run: Run) -> None:
    pod = until("there is a leader", lambda: leader(run.kube), TAKEOVER_SECONDS)
    run.logs.append(run.kube.run("logs", pod, namespace=NAMESPACE))
    run.kube.run("delete", "pod", pod, "--force", "--grace-period=0", namespace=NAMESPACE)
