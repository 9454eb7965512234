"""Which consumers use a new password, which restart next, and which the rotation no longer waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.rotation.phases import RotationSettings
from reconciler.rotation.progress import next_wave
from reconciler.state.credential_rollout import CredentialRollout, Workload, rollout_of
from shared import names
from shared.consumers.credential_revision import CredentialRevision
from shared.consumers.identity import Consumer
from shared.objects.resources import Object

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STAMP = CredentialRevision("r1", NOW - timedelta(seconds=10))
WHO = Consumer("MCPServer", "team", "c")
SETTINGS = RotationSettings()


def pod(revision: str | None = "r1", *, is_ready: bool = True, phase: str = "Running", **metadata: Any) -> Object:
    annotations = {} if revision is None else {names.ANNOTATION_REVISION: revision}
    conditions = [{"type": "Ready", "status": str(is_ready)}]
    status = {"phase": phase, "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "conditions": conditions}
    return {"metadata": {"name": "p", "annotations": annotations, **metadata}, "status": status}


def deployment(*pods: Object, replicas: int = 1, observed: int = 2) -> Workload:
    metadata = {"name": "c", "generation": 2}
    obj = {"metadata": metadata, "spec": {"replicas": replicas}, "status": {"observedGeneration": observed}}
    return Workload(obj, pods)


def test_a_consumer_is_done_when_all_its_pods_are_of_the_revision_and_ready() -> None:
    found = rollout_of(WHO, STAMP, [deployment(pod(), pod(), replicas=2), deployment(pod())])
    assert (found.is_done, found.obstacle) == (True, "")
    assert found.addresses == {"10.0.0.1", "fd00::1"}


@pytest.mark.parametrize(
    ("workload", "obstacle"),
    [
        (deployment(pod(None)), "pod p started with the former credential"),
        (deployment(pod(), pod("r0")), "pod p started with the former credential"),
        (deployment(pod(), pod("r0", deletionTimestamp="now")), "pod p started with the former credential"),
        (deployment(pod(is_ready=False)), "0 of 1 pods of c are ready"),
        (deployment(pod(deletionTimestamp="now")), "0 of 1 pods of c are ready"),
        (deployment(pod(), replicas=2), "1 of 2 pods of c are ready"),
        (deployment(), "0 of 1 pods of c are ready"),
        (deployment(pod(), observed=1), "the rollout of c has not begun"),
    ],
)
def test_the_obstacle_of_a_rollout_is_named(workload: Workload, obstacle: str) -> None:
    found = rollout_of(WHO, STAMP, [deployment(pod()), workload])
    assert (found.is_done, found.obstacle) == (False, obstacle)


@pytest.mark.parametrize("workloads", [[], [deployment(replicas=0)], [deployment(pod("r0", phase="Failed"), pod())]])
def test_a_consumer_without_an_older_pod_is_done(workloads: list[Workload]) -> None:
    assert rollout_of(WHO, STAMP, workloads).is_done


def consumer(number: int) -> Consumer:
    return Consumer("MCPServer", "team", f"c{number}")


def rollouts(total: int, restarting: int = 0, done: int = 0, **first: Any) -> tuple[CredentialRollout, ...]:
    made = []
    for number in range(total):
        stamp = STAMP if number < restarting + done else None
        made.append(CredentialRollout(f"c{number}", consumer(number), stamp, is_done=number < done))
    if first:
        made[0] = CredentialRollout("c0", consumer(0), **first)
    return tuple(made)


@pytest.mark.parametrize(
    ("total", "restarting", "done", "next_count"),
    [
        (1, 0, 0, 1),
        (9, 0, 0, 1),
        (9, 1, 0, 0),
        (20, 0, 0, 2),
        (20, 1, 5, 1),
        (20, 2, 5, 0),
        (20, 0, 20, 0),
        (0, 0, 0, 0),
    ],
)
def test_a_tenth_restarts_at_once_and_at_least_one(total: int, restarting: int, done: int, next_count: int) -> None:
    chosen = next_wave(rollouts(total, restarting, done), SETTINGS, NOW)
    expected = tuple(consumer(number) for number in range(restarting + done, total))[:next_count]
    assert tuple(each.consumer for each in chosen) == expected


def test_others_wait_for_a_consumer_only_for_the_configured_time() -> None:
    late = CredentialRevision("r1", NOW - SETTINGS.patience)
    assert [each.consumer for each in next_wave(rollouts(3, stamp=late), SETTINGS, NOW)] == [consumer(1)]
    assert rollouts(3, stamp=late)[0].is_stuck(SETTINGS.patience, NOW)
    assert not rollouts(3, stamp=STAMP)[0].is_stuck(SETTINGS.patience, NOW)
    assert not rollouts(3, stamp=late, is_done=True)[0].is_stuck(SETTINGS.patience, NOW)


def test_a_consumer_that_cannot_be_written_is_skipped_and_reported() -> None:
    assert [each.consumer for each in next_wave(rollouts(3, is_refused=True), SETTINGS, NOW)] == [consumer(1)]
    assert rollouts(3, is_refused=True)[0].is_stuck(SETTINGS.patience, NOW)


def test_a_pod_of_no_consumer_counts_as_stuck_and_in_no_wave() -> None:
    stranger = CredentialRollout("Pod team/x", obstacle="not ours")
    assert stranger.is_stuck(SETTINGS.patience, NOW)
    assert next_wave((stranger,), SETTINGS, NOW) == ()
