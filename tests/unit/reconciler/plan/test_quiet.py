"""What lasts is told once: an hour of it, with all figures moving, causes one status and no further Event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.plan.desired_objects import StorageSettings
from reconciler.plan.planner import plan
from reconciler.state.instance import Instance
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.storage_state import StorageState
from shared import names
from shared.objects.resources import Object
from shared.objects.timestamps import written
from shared.session_storage.sizes import Size
from tests.support.storages import (
    NOW,
    OFFSET,
    OTHER_IMAGE,
    SETTINGS,
    observed,
    pod,
    primary,
    replica,
    replicated,
    session_storage,
    settled,
    stored,
    unlinked,
    with_child,
    workload,
)

Scene = Callable[[int], StorageState]
"""Builds what the observer sees after so many seconds."""
LONG_AGO = "2026-11-23T11:00:00Z"
RUNNING = {"phase": "Running", "containerStatuses": [{"state": {"running": {"startedAt": LONG_AGO}}}]}
LOOKS = (*range(0, 60, 5), *range(60, 3600, 61))
"""Seconds at which the reconciler looks in an hour."""
WRITES_PER_SECOND = 1 << 20
"""Bytes by which the primary's history grows each second."""


def old(instance: Instance, **status: Any) -> Instance:
    """Give an instance a pod that has been there for long."""
    made = instance.pod or pod(instance.index, Size.LARGE)
    metadata = {**made["metadata"], "creationTimestamp": LONG_AGO}
    known = {**made["status"], **RUNNING, **status}
    return replace(instance, pod={**made, "metadata": metadata, "status": known})


def head(seconds: int, *replicas: int, size: Size = Size.LARGE) -> Instance:
    """Build a primary that takes writes all the time."""
    seen = replicated(primary(0, size, *replicas), offset=OFFSET + seconds * WRITES_PER_SECOND, keys=3 + seconds)
    return old(seen)


def near(seconds: int) -> Instance:
    return old(replicated(replica(1), offset=OFFSET + seconds * WRITES_PER_SECOND, keys=3 + seconds))


def far(**replication: Any) -> Instance:
    """Build a replica that lost its primary long ago."""
    return old(unlinked(replica(2, upstream="10.1.0.1"), **replication))


def silent(index: int, seconds: int, problem: Any = "unreachable", **more: Any) -> Instance:
    return old(Instance(index, pod(index, Size.LARGE), problem=problem, silent_for=60.0 + seconds, **more))


def failing(seconds: int, detail: str, size: Size) -> Instance:
    seen = replicated(head(seconds, size=size), offset=OFFSET + seconds * 14)
    assert seen.facts is not None
    facts = replace(seen.facts, disk_fails=detail.startswith("MISCONF"))
    return replace(seen, problem="failing", detail=detail, facts=facts)


def no_room(seconds: int) -> StorageState:
    """Observe a small storage that is to become medium, and for whose second instance no node has room."""
    before = observed("small", storage=session_storage({"size": "medium"}))
    waiting = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient memory."}
    extra = old(Instance(1, pod(1, Size.MEDIUM)), phase="Pending", conditions=[waiting], containerStatuses=[])
    known = with_child(before, ("statefulsets", "mine-valkey-1"), stored(workload(1, Size.MEDIUM)))
    return replace(known, instances=(head(seconds, size=Size.SMALL), extra))


def rotating(seconds: int) -> StorageState:
    """Observe a rotation that waits for an instance which does not answer."""
    storage = session_storage({"size": "large", "rotation": {"every": "24h"}})
    before = observed("large", head(seconds, 1), near(seconds), silent(2, seconds), storage=storage)
    auth = before.children["secrets", "mine-auth"]
    record = RotationRecord(begun=written(NOW - timedelta(days=9))).start("", "r", NOW - timedelta(days=1))
    staged = {f"{key}.next": value for key, value in auth["data"].items() if "password" in key}
    return with_child(before, ("secrets", "mine-auth"), record.put_on({**auth, "data": {**auth["data"], **staged}}))


def large(*instances: Instance, **observation: Any) -> StorageState:
    return observed("large", *instances, **observation)


def leaving(seconds: int) -> StorageState:
    """Observe an update whose only other instances are out of sync."""
    return large(head(seconds, 1), near(seconds), far(down_for=60 + seconds))


def asking(value: str) -> Object:
    return session_storage({"size": "large"}, annotations={names.ANNOTATION_PROMOTE: value})


FAILING_DISK = "MISCONF Errors writing to the AOF file: No space left on device"
LONG_LINKED = "an instance that follows, and stays behind"
SCENES: dict[str, Scene] = {
    "all is well": lambda t: large(head(t, 1, 2), near(t), old(replicated(replica(2), offset=OFFSET + t * (1 << 20)))),
    "HistoriesDiffer": lambda t: large(
        silent(0, t), old(unlinked(replica(1), down_for=60 + t)), far(down_for=61 + t, lineage="b" * 40)
    ),
    "PrimaryMayServe": lambda t: large(silent(0, t), old(unlinked(replica(1), down_for=60 + t)), silent(2, t)),
    "CandidateBehind": lambda t: large(
        Instance(0, silent_for=60.0 + t), old(unlinked(replica(1), down_for=900 + t)), Instance(2, silent_for=60.0 + t)
    ),
    "InstancesMissing": lambda t: large(
        Instance(0, silent_for=60.0 + t),
        old(unlinked(replica(1), offset=0, lineage="c" * 40)),
        Instance(2, silent_for=60.0 + t),
    ),
    "DataUnclear": lambda _: large(
        old(unlinked(replica(0), offset=0, keys=0, lineage="c" * 40)),
        old(unlinked(replica(1), offset=0, lineage="d" * 40)),
        far(offset=0, lineage="e" * 40),
    ),
    "a former primary writes on": lambda t: large(
        silent(0, t),
        replicated(old(primary(1, Size.LARGE)), lineage="f" * 40, offset=OFFSET + t * 14, keys=900 - t // 10),
        far(down_for=61 + t, lineage="b" * 40),
    ),
    "an old consent": lambda t: large(head(t, 1), near(t), far(down_for=60 + t), storage=asking("mine-valkey-2")),
    "an old consent while blocked": lambda t: large(
        silent(0, t),
        old(unlinked(replica(1), down_for=60 + t)),
        far(down_for=61 + t, lineage="b" * 40),
        storage=asking("mine-valkey-2@0123456789"),
    ),
    "UnreachableByUs": lambda t: large(silent(0, t), old(replica(1)), old(replica(2))),
    "NoReplicaInSync": lambda t: large(head(t), old(unlinked(replica(1), down_for=60 + t)), far(down_for=60 + t)),
    "LinkDown": lambda t: large(head(t, 1), near(t), far(down_for=60 + t)),
    "Unreachable replica": lambda t: large(head(t, 1), near(t), silent(2, t)),
    "a replica that refuses us": lambda t: large(
        head(t, 1), near(t), silent(2, t, "refused", detail="10.1.0.3:6379 as operator: WRONGPASS")
    ),
    "PodMissing": lambda t: large(head(t, 1), near(t), Instance(2, silent_for=60.0 + t)),
    LONG_LINKED: lambda t: large(
        head(t, 1, 2), near(t), old(replicated(replica(2), offset=OFFSET + t * (1 << 20) - ((5 + t % 3) << 20)))
    ),
    "a replica that receives a copy": lambda t: large(head(t, 1), near(t), far(is_copying=True, offset=t)),
    "InstanceStarts": leaving,
    "NoRoom": no_room,
    "a rotation that waits": rotating,
    "LoadingData": lambda _: observed("medium", replace_facts(old(primary(0, Size.MEDIUM)), is_loading=True)),
    "CredentialRefused": lambda _: observed(
        "medium", replace(old(Instance(0, pod(0, Size.MEDIUM))), problem="refused", detail="WRONGPASS")
    ),
    "OnlyInstance": lambda t: observed(
        "medium", old(Instance(0, pod(0, Size.MEDIUM), problem="unreachable", silent_for=60.0 + t))
    ),
    "DiskFull of one instance": lambda t: observed("medium", failing(t, FAILING_DISK, Size.MEDIUM)),
    "DiskFull everywhere": lambda t: large(failing(t, FAILING_DISK, Size.LARGE), far(down_for=60 + t), silent(1, t)),
    "OutOfMemory": lambda t: observed("medium", failing(t, "OOM it uses more memory than it may", Size.MEDIUM)),
    "a script that cannot be ended": lambda t: observed(
        "medium",
        old(
            Instance(0, pod(0, Size.MEDIUM), problem="busy", detail="BUSY", busy_for=60.0 + t, has_endless_script=True)
        ),
    ),
    "a script that cannot be ended, beside a replica that does not answer": lambda t: large(
        silent(0, t, "busy", busy_for=60.0 + t, has_endless_script=True),
        old(unlinked(replica(1), down_for=60 + t)),
        silent(2, t),
    ),
}


def replace_facts(instance: Instance, **facts: Any) -> Instance:
    assert instance.facts is not None
    return replace(instance, facts=replace(instance.facts, **facts))


@pytest.mark.parametrize("name", SCENES)
def test_what_lasts_is_told_once(name: str) -> None:
    scene = SCENES[name]
    settings: StorageSettings = OTHER_IMAGE if name == "InstanceStarts" else SETTINGS
    status: Object | None = None
    told = list[tuple[int, object]]()
    for seconds in LOOKS:
        decided = plan(settled(scene(seconds), status), settings, NOW + timedelta(seconds=seconds))
        if decided.status is not None or decided.events:
            told.append((seconds, decided.status))
            status = decided.status
    # What does not pass within a start is told once more: it lasts.
    assert [seconds for seconds, _ in told if seconds > 25] == [], told[-2:]
    assert len(told) <= 3, told
