"""Faults of data: a volume is emptied, all pods are deleted, a disk is full."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from deploy.demo.kube import until
from tests.chaos import leaders, nodes, processes
from tests.chaos.api import NAMESPACE
from tests.chaos.faults.fault import hold, now
from tests.chaos.faults.servers import delete
from tests.chaos.stand import RECOVERY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.faults.fault import Scene
    from tests.chaos.stand import Stand

DISK_MIB: Final = 96
FULL_SECONDS: Final = 15


def empty_volume(scene: Scene) -> float:
    """Delete the primary's pod, and its data before the next pod starts."""
    primary = scene.stand.primary()
    name, node, server = primary["metadata"]["name"], primary["spec"]["nodeName"], processes.of_pod(primary)
    directory = nodes.volume(scene.stand.kube, primary)
    struck = now()
    nodes.empty(node, directory)
    delete(scene, name)
    until("the server has ended", lambda: not processes.is_running(server), RECOVERY_SECONDS)
    # The server may have written again after the first time.
    nodes.empty(node, directory)
    scene.stand.await_gone(processes.container_id(primary))
    return struck


def delete_all_pods(scene: Scene) -> float:
    """Delete all pods of a storage at once while no reconciler runs; start the reconcilers when the pods run again."""
    kube = scene.stand.kube
    leaders.scale(kube, 0)
    try:
        before = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in scene.stand.pods()}
        struck = now()
        delete(scene, *before.values())
        until("all pods are new and run", lambda: _run_anew(scene.stand, set(before)), RECOVERY_SECONDS)
    finally:
        leaders.scale(kube, leaders.REPLICAS)
    return struck


def _run_anew(stand: Stand, before: set[str]) -> bool:
    pods = stand.pods()
    is_anew = len(pods) == len(before) and not before & {pod["metadata"]["uid"] for pod in pods}
    return is_anew and all(map(processes.container_id, pods))


@contextmanager
def on_small_disk(stand: Stand) -> Iterator[None]:
    """Put the primary's volume on a file system of its own, so that a full disk harms nobody else."""
    primary = stand.primary()
    name, node, directory = primary["metadata"]["name"], primary["spec"]["nodeName"], nodes.volume(stand.kube, primary)
    with nodes.small_disk(node, directory, DISK_MIB):
        _restart(stand, name)
        stand.have_primary(lambda pod: bool(pod["metadata"]["name"] == name))
        yield
    _restart(stand, name)


def fill_disk(scene: Scene) -> float:
    """Fill the primary's disk to the last byte."""
    primary = scene.stand.primary()
    directory = nodes.volume(scene.stand.kube, primary)
    struck = now()
    with nodes.filled(primary["spec"]["nodeName"], directory):
        hold(FULL_SECONDS)
    return struck


def _restart(stand: Stand, pod: str) -> None:
    """Replace a pod, so that the new one uses what is mounted at its volume now."""
    uid = next(each["metadata"]["uid"] for each in stand.pods() if each["metadata"]["name"] == pod)
    stand.kube.run("delete", "pod", pod, namespace=NAMESPACE)
    until(f"{pod} is new", lambda: uid not in {each["metadata"]["uid"] for each in stand.pods()}, RECOVERY_SECONDS)
    stand.await_recovered()
