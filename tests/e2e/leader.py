"""Finds the leading reconciler, and kills it."""

from __future__ import annotations

from deploy.demo.installation import NAMESPACE, RELEASE
from deploy.demo.kube import Kube, until
from tests.e2e.conftest import Run
from tests.e2e.storages import read

TAKEOVER_SECONDS = 60
"""Seconds for a dead leader's lease, which lasts 15 s, and for provisioning on a slow machine."""


def leader(kube: Kube) -> str:
    """Return the name of the leading pod; empty while a pod that is gone still holds the lease."""
    holder: str = read(kube, "lease", f"{RELEASE}-reconciler", NAMESPACE)["spec"].get("holderIdentity", "")
    return holder if holder and kube.get("pod", holder, NAMESPACE) is not None else ""


def kill_leader(run: Run) -> None:
    pod = until("there is a leader", lambda: leader(run.kube), TAKEOVER_SECONDS)
    run.logs.append(run.kube.run("logs", pod, namespace=NAMESPACE))
    run.kube.run("delete", "pod", pod, "--force", "--grace-period=0", namespace=NAMESPACE)
