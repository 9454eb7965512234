"""What storages go through while nobody should be woken: load, everything that administrators change, one failover."""

from __future__ import annotations

import random
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from deploy.demo import installation
from deploy.demo.kube import until
from deploy.demo.storages import KIND
from shared.names import ANNOTATION_ROTATE
from tests.chaos import leaders, sessions
from tests.chaos.api import NAMESPACE
from tests.chaos.faults import planned, servers
from tests.chaos.faults.fault import Scene, hold, now
from tests.chaos.writing import Client, Writing, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.chaos.stand import Stand

ROTATION_SECONDS: Final = 300
"""A rotation waits for kubelets, by the chart's default 100 s, and for consumers to restart."""
UPDATE_SECONDS: Final = 240
"""Storages get a new image in turn."""

Stands: TypeAlias = "Sequence[Stand]"
Event: TypeAlias = "Callable[[Stands, Sequence[Writing]], None]"


def live(stands: Stands, events: Sequence[Event], minutes: float) -> list[str]:
    """Keep storages under load for a time, and make planned changes in it; say how long each took."""
    told = []
    for event in events:
        until_then = now() + 60 * minutes / len(events)
        with used(stands) as writers:
            begun = now()
            event(stands, writers)
            for stand in stands:
                stand.await_recovered()
            told.append(f"{event.__name__.replace('_', ' ')} {now() - begun:.0f} s")
            hold(max(until_then - now(), 0))
    return told


@contextmanager
def used(stands: Stands) -> Iterator[Sequence[Writing]]:
    """Write to each storage, and use MCP sessions through the proxies of each, until the block ends.

    The writers delete their keys in the end: load that is steady fills no memory.
    """
    with ExitStack() as load:
        writers = [load.enter_context(writing(stand, Client.IMPATIENT)) for stand in stands]
        for stand in stands:
            load.enter_context(sessions.in_use(stand))
        begun = now()
        yield writers
        for each in writers:
            each.end(begun)


def load_alone(_: Stands, __: Sequence[Writing]) -> None:
    """Nothing but load."""


def rotation(stands: Stands, _: Sequence[Writing]) -> None:
    """All passwords change, and all consumers restart for it."""
    for stand in stands:
        word = f"{ANNOTATION_ROTATE}={datetime.now(UTC):%H%M%S}"
        stand.kube.run("annotate", KIND, stand.name, word, "--overwrite", namespace=NAMESPACE)
    for stand in stands:
        until(f"{stand.name} has rotated", partial(_has_rotated, stand), ROTATION_SECONDS)


def _has_rotated(stand: Stand) -> bool:
    rotated = stand.storage().get("status", {}).get("rotation") or {}
    return rotated.get("phase") == "Discarded"


def failover(stands: Stands, writers: Sequence[Writing]) -> None:
    """The primary of the largest storage dies, and another instance takes over."""
    servers.kill_server(_scenes(stands, writers)[-1])


def switchover(stands: Stands, writers: Sequence[Writing]) -> None:
    """Every primary moves, one storage after another."""
    for scene in _scenes(stands, writers):
        planned.switch_over(scene)
        scene.stand.await_recovered()


def upgrade(stands: Stands, _: Sequence[Writing]) -> None:
    """A chart upgrade replaces the pods of both processes, so another reconciler leads."""
    kube, images = stands[0].kube, stands[0].images
    before = leaders.leading(kube)["metadata"]["name"]
    installation.install(kube, images, "--set=podAnnotations.upgraded=yes")
    leaders.await_other(kube, before)


def update(stands: Stands, writers: Sequence[Writing]) -> None:
    """A chart upgrade gives every storage another reference to Valkey's image, so all of their instances restart."""
    scenes = _scenes(stands, writers)
    planned.update_image(scenes[-1])
    wanted = planned.image_of(scenes[-1])
    for scene in scenes:
        until(f"{scene.stand.name} runs {wanted}", partial(_runs, scene, wanted), UPDATE_SECONDS)


def _runs(scene: Scene, image: str) -> bool:
    return planned.image_of(scene) == image


def _scenes(stands: Stands, writers: Sequence[Writing]) -> list[Scene]:
    return [Scene(stand, each, random.Random(0)) for stand, each in zip(stands, writers, strict=True)]


EVENTS: Final[Sequence[Event]] = (load_alone, rotation, switchover, upgrade, update, failover)
