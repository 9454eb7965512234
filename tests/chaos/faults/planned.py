"""Planned changes by administrators, under load; clients should hardly notice them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from deploy.demo import installation
from deploy.demo.kube import until
from deploy.local import images
from shared import names
from shared.session_storage.sizes import Size
from tests.chaos import nodes, processes
from tests.chaos.faults.fault import hold, now
from tests.chaos.stand import RECOVERY_SECONDS

if TYPE_CHECKING:
    from tests.chaos.faults.fault import Scene

SECOND_TAG: Final = images.SECOND_TAG
"""Suffix that makes another reference to the same image."""
AGAIN_SECONDS: Final = 0.5
"""Time between two requests to evict a pod, besides the time between two looks of `until`."""
NEXT: Final = {Size.SMALL: Size.MEDIUM, Size.MEDIUM: Size.LARGE, Size.LARGE: Size.MEDIUM}
"""The size that each size is changed to: more memory, more instances, and fewer instances again."""


def switch_over(scene: Scene) -> float:
    """Ask for a switchover by annotation, and wait for it."""
    before = scene.stand.primary()["metadata"]["uid"]
    struck = now()
    scene.stand.switch_over()
    scene.stand.await_moved(before)
    return struck


def drain(scene: Scene) -> float:
    """Drain the primary's node of the storage's pods, and uncordon it afterwards."""
    primary = scene.stand.primary()
    node = primary["spec"]["nodeName"]
    struck = now()
    with nodes.cordoned(scene.stand.kube, node):
        mine = f"--pod-selector={names.LABEL_STORAGE}={scene.stand.name}"
        options = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={RECOVERY_SECONDS}s")
        scene.stand.kube.run("drain", node, mine, *options)
        scene.stand.await_moved(primary["metadata"]["uid"])
    return struck


def evict(scene: Scene) -> float:
    """Evict the primary's pod from a cordoned node, and ask again until the API server accepts, as autoscalers do."""
    primary = scene.stand.primary()

    def is_accepted() -> bool:
        if scene.stand.api.evict(primary):
            return True
        hold(AGAIN_SECONDS)
        return False

    struck = now()
    with nodes.cordoned(scene.stand.kube, primary["spec"]["nodeName"]):
        until(f"{primary['metadata']['name']} may be evicted", is_accepted, RECOVERY_SECONDS)
        scene.stand.await_gone(processes.container_id(primary))
        scene.stand.await_moved(primary["metadata"]["uid"])
    return struck


def update_image(scene: Scene) -> float:
    """Upgrade the chart to the other one of two references to the same image, and wait until all pods run it."""
    stand = scene.stand
    again = stand.images.valkey + SECOND_TAG
    nodes.tag_image(stand.images.valkey, again)
    wanted = again if image_of(scene) == stand.images.valkey else stand.images.valkey
    struck = now()
    installation.install(stand.kube, dataclasses.replace(stand.images, valkey=wanted))
    until(f"all pods run {wanted}", lambda: image_of(scene) == wanted, RECOVERY_SECONDS)
    return struck


def image_of(scene: Scene) -> str:
    """Name the image that all of the storage's pods run; empty if they differ."""
    found = {pod["spec"]["containers"][0]["image"] for pod in scene.stand.pods()}
    return found.pop() if len(found) == 1 else ""


def resize(scene: Scene) -> float:
    """Change the storage's size, and wait until its status shows the new one."""
    wanted = NEXT[Size(scene.stand.storage()["spec"]["size"])]
    struck = now()
    scene.stand.change({"spec": {"size": wanted}})
    until(f"the storage is {wanted}", lambda: scene.stand.storage()["status"].get("size") == wanted, RECOVERY_SECONDS)
    return struck
