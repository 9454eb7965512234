"""The primary's server or pod comes to an end, or stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.chaos import processes
from tests.chaos.api import NAMESPACE
from tests.chaos.faults.fault import hold, now

if TYPE_CHECKING:
    from tests.chaos.faults.fault import Scene

FROZEN_SECONDS: Final = 8
"""Longer than a fence of three to four seconds and a failover take; too short for kubelet to restart the container."""


def kill_server(scene: Scene) -> float:
    """End the primary's server, which cannot do anything about it."""
    primary = scene.stand.primary()
    pid = processes.of_pod(primary)
    struck = now()
    processes.kill(pid)
    scene.stand.await_gone(processes.container_id(primary))
    return struck


def freeze_server(scene: Scene) -> float:
    """Stop the primary's server where it is, and let it go on later, believing what it believed."""
    pid = processes.of_pod(scene.stand.primary())
    struck = now()
    with processes.frozen(pid):
        hold(FROZEN_SECONDS)
    return struck


def delete_pod(scene: Scene) -> float:
    """Delete the primary's pod without any grace."""
    metadata = scene.stand.primary()["metadata"]
    struck = now()
    delete(scene, metadata["name"])
    scene.stand.await_moved(metadata["uid"])
    return struck


def delete(scene: Scene, *pods: str) -> None:
    """Delete pods at once, without any grace and without waiting."""
    options = ("--force", "--grace-period=0", "--wait=false")
    scene.stand.kube.run("delete", "pod", *pods, *options, namespace=NAMESPACE)
