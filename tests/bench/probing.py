"""Measures what it takes the reconciler to watch 200 storages: a pulse of every node, and a look at each every 10 s."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvloop

from deploy.local import progress
from reconciler import loop, nodes
from reconciler.pulse import PERIOD_SECONDS, Pulse
from reconciler.queue import WorkQueue
from reconciler.steps import RECHECK_SECONDS
from shared import credentials, names
from shared.sizes import PRESETS, Size
from tests.background import beside
from tests.bench.figures import percentile
from tests.integration.nodes import PASSWORDS, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from shared.resources import Key, Object

STORAGES: Final = 200
WARM_UP_SECONDS: Final = 2.0
"""For 600 connections to stand."""
SAMPLE_SECONDS: Final = 0.2
"""Seldom enough to take little of what is measured."""
_AUTH: Final[Object] = {"metadata": {}, "data": credentials.encoded(PASSWORDS)}


@dataclass(frozen=True)
class Probing:
    """What watching cost, and how well it was done.

    Attributes:
        processor: Percent of one processor.
        p50: How many milliseconds after its time the least recent answer of all nodes came, in half of all samples.
        worst: The same of all samples.
    """

    processor: float
    p50: float
    worst: float

    @classmethod
    def of(cls, seconds: float, processor_seconds: float, silences: Sequence[float]) -> Probing:
        """Sum a run up.

        Args:
            seconds: How long it took.
            processor_seconds: How long the process ran meanwhile.
            silences: Of each sample, the seconds since the least recent answer of a node.
        """
        late = sorted(max(0.0, silence - PERIOD_SECONDS) * 1000 for silence in silences)
        return cls(processor_seconds / seconds * 100, percentile(late, 0.5), late[-1])


def measure(directory: Path, seconds: float) -> dict[str, Probing]:
    """Watch storages of one node, and of three, for so many seconds each; without looks, and with them.

    All pods share two servers, which are real: what the reconciler does is the same, and theirs is not counted.
    """
    places = {name: directory / name for name in ("primary", "replica")}
    for place in places.values():
        place.mkdir()
    found = {}
    with (
        running(places["primary"], Size.SMALL) as primary,
        running(places["replica"], Size.MEDIUM, f"replicaof {primary} {names.VALKEY_PORT}") as replica,
    ):
        for size in (Size.SMALL, Size.LARGE):
            pods = _pods(PRESETS[size].replicas, primary, replica)
            for what, looks in (("pulse alone", False), ("pulse, and a look every 10 s", True)):
                case = f"{STORAGES} {size} storages: {what}"
                progress.step(f"measuring {case}")
                found[case] = uvloop.run(_watch(pods, seconds, looks=looks))
    return found


def _pods(count: int, primary: str, replica: str) -> dict[Key, list[Object]]:
    return {
        ("team", f"s{number}"): [_pod(f"s{number}", index, replica if index else primary) for index in range(count)]
        for number in range(STORAGES)
    }


def _pod(storage: str, index: int, address: str) -> Object:
    name = names.valkey_pod(storage, index)
    labels = {names.LABEL_STORAGE: storage, names.LABEL_NODE: str(index)}
    return {
        "metadata": {"namespace": "team", "name": name, "uid": name, "labels": labels},
        "status": {"phase": "Running", "podIP": address},
    }


async def _watch(pods: dict[Key, list[Object]], seconds: float, *, looks: bool) -> Probing:
    every = [pod for group in pods.values() for pod in group]
    async with _pulse(every) as pulse, _looks(pods if looks else {}, pulse):
        await asyncio.sleep(WARM_UP_SECONDS)
        silences, started, ran = list[float](), time.monotonic(), time.process_time()
        while time.monotonic() - started < seconds:
            await asyncio.sleep(SAMPLE_SECONDS)
            silences.append(max(map(pulse.silent_for, every)))
        return Probing.of(time.monotonic() - started, time.process_time() - ran, silences)


@contextlib.asynccontextmanager
async def _pulse(pods: list[Object]) -> AsyncIterator[Pulse]:
    told = list[object]()
    pulse = Pulse(told.append)
    async with beside(pulse.run(pods)):
        yield pulse
    assert not told, "a node did not answer"


@contextlib.asynccontextmanager
async def _looks(pods: dict[Key, list[Object]], pulse: Pulse) -> AsyncIterator[None]:
    queue = WorkQueue()

    async def look(key: Key) -> float:
        asked = (
            nodes.ask(index, pod, _AUTH, pulse.silent_for(pod), is_urgent=len(pods[key]) > 1)
            for index, pod in enumerate(pods[key])
        )
        reports = await asyncio.gather(*asked)
        assert all(report.facts for report in reports), reports
        return RECHECK_SECONDS

    for number, key in enumerate(pods):
        queue.add_after(key, RECHECK_SECONDS * number / len(pods))
    async with beside(loop.run(queue, look)):
        yield
