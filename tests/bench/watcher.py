"""Watches storages as the reconciler does, for the benchmark: `python -m tests.bench.watcher DIRECTORY`.

It reads its task, a `Watch`, from DIRECTORY/watch.json, and writes its result, a `Watched`, to DIRECTORY/watched.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from reconciler.actions.plan import STEADY_SECONDS
from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.observe import instance_probe
from reconciler.observe.heartbeat import PERIOD_SECONDS, Heartbeats
from reconciler.observe.write_checks import WriteChecks
from reconciler.runtime import workers
from reconciler.runtime.workqueue import WorkQueue
from reconciler.state.instance import Instance
from reconciler.valkey.looks import Looks
from shared import names
from shared.objects.resources import Key
from tests.bench.figures import percentile
from tests.support.background import beside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from shared.objects.resources import Object

TASK_FILE: Final = "watch.json"
RESULT_FILE: Final = "watched.json"
WARM_UP_SECONDS: Final = 2.0
"""Time to open 600 connections."""
SAMPLE_SECONDS: Final = 0.2
"""Time between two samples; so long that sampling adds little to the measured processor time."""


@dataclass(frozen=True)
class Watch:
    """What to watch, and how.

    Attributes:
        seconds: Length of the measurement.
        storages: Number of storages.
        addresses: Addresses of a storage's instances; all storages share the same instances.
        looks: Whether to look at each instance, besides its heartbeats.
        checks: Whether to check that each primary takes writes.
        passwords: Passwords of the instances, by their key in the auth Secret.
    """

    seconds: float
    storages: int
    addresses: Sequence[str]
    looks: bool
    checks: bool
    passwords: Mapping[str, str]


@dataclass(frozen=True)
class Watched:
    """The cost of watching, and how late heartbeats were.

    Attributes:
        processor: Processor time, in percent of one processor.
        p50: Median, over all samples, of how late the instance was that had been silent the longest, in milliseconds.
        worst: Maximum of the same, in milliseconds.
    """

    processor: float
    p50: float
    worst: float

    @classmethod
    def of(cls, seconds: float, processor_seconds: float, silences: Sequence[float]) -> Watched:
        """Summarize a run.

        Args:
            seconds: Length of the run.
            processor_seconds: Processor time of this process in the run.
            silences: For each sample, the seconds since the last answer of the instance that was silent the longest.
        """
        late = sorted(max(0.0, silence - PERIOD_SECONDS) * 1000 for silence in silences)
        return cls(processor_seconds / seconds * 100, percentile(late, 0.5), late[-1])


async def watch(asked: Watch) -> Watched:
    """Watch for as long as asked; an instance that does not answer fails the run."""
    pods = _pods(asked)
    every = [pod for group in pods.values() for pod in group]
    async with _heartbeats(every) as heartbeats, _looks(asked, pods, heartbeats), _checks(asked, pods):
        await asyncio.sleep(WARM_UP_SECONDS)
        silences, started, ran = list[float](), time.monotonic(), time.process_time()
        while time.monotonic() - started < asked.seconds:
            await asyncio.sleep(SAMPLE_SECONDS)
            silences.append(max(map(heartbeats.silent_for, every)))
        return Watched.of(time.monotonic() - started, time.process_time() - ran, silences)


def _pods(asked: Watch) -> dict[Key, list[Object]]:
    return {
        ("team", f"s{number}"): [_pod(f"s{number}", index, address) for index, address in enumerate(asked.addresses)]
        for number in range(asked.storages)
    }


def _pod(storage: str, index: int, address: str) -> Object:
    name = names.valkey_pod(storage, index)
    labels = {names.LABEL_STORAGE: storage, names.LABEL_INSTANCE: str(index)}
    return {
        "metadata": {"namespace": "team", "name": name, "uid": name, "labels": labels},
        "status": {"phase": "Running", "podIP": address},
    }


@contextlib.asynccontextmanager
async def _heartbeats(pods: list[Object]) -> AsyncIterator[Heartbeats]:
    silent = list[object]()
    heartbeats = Heartbeats(silent.append)
    async with beside(heartbeats.run(pods)):
        yield heartbeats
    assert not silent, "an instance did not answer"


@contextlib.asynccontextmanager
async def _looks(asked: Watch, pods: Mapping[Key, list[Object]], heartbeats: Heartbeats) -> AsyncIterator[None]:
    queue = WorkQueue()
    ring = KeyRing(dict(asked.passwords))
    # Instances that share a server look by sessions of their own, as those of a real storage do.
    sessions = [Looks(time.monotonic) for _ in asked.addresses]

    async def look(key: Key) -> float:
        group = pods[key]
        questions = (
            instance_probe.probe(
                Instance(index, pod, silent_for=heartbeats.silent_for(pod)),
                ring,
                sessions[index].observe,
                is_urgent=len(group) > 1,
            )
            for index, pod in enumerate(group)
        )
        reports = await asyncio.gather(*questions)
        assert all(report.facts for report in reports), reports
        return STEADY_SECONDS

    for number, key in enumerate(pods if asked.looks else ()):
        queue.add_after(key, STEADY_SECONDS * number / len(pods))
    async with beside(workers.run(queue, look, "storage")):
        yield
    for each in sessions:
        each.close()


@contextlib.asynccontextmanager
async def _checks(asked: Watch, pods: Mapping[Key, list[Object]]) -> AsyncIterator[None]:
    """Check each primary over a session of its own, as with real storages."""
    looks = {name: Looks(time.monotonic) for _, name in pods}
    answers, refused = Counter[bool | None](), list[Key]()

    async def takes_writes(name: str, port: int, fence: int) -> bool | None:
        answer = await looks[name].takes_writes(asked.addresses[0], port, fence)
        answers[answer] += 1
        return answer

    checks = WriteChecks(takes_writes, refused.append)
    for key in pods if asked.checks else ():
        _, name = key
        operator = KeyRing(dict(asked.passwords)).login(identities.OPERATOR)
        facts = await looks[name].observe(asked.addresses[0], names.VALKEY_PORT, operator)
        # All primaries are the same server, so the name of the storage stands for its address.
        checks.note_look(key, Instance(0, _pod(name, 0, name), facts=facts))
    async with beside(checks.run()):
        yield
    assert not refused, "a primary refused writes"
    assert set(answers) == ({True} if asked.checks else set()), answers
    for each in looks.values():
        each.close()


if __name__ == "__main__":
    _directory = Path(sys.argv[1])
    _watched = uvloop.run(watch(Watch(**json.loads((_directory / TASK_FILE).read_text()))))
    (_directory / RESULT_FILE).write_text(json.dumps(asdict(_watched)))
