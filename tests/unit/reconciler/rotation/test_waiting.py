"""A rotation waits for every instance that may come back with former passwords, and names it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.rotation.phases import RotationSettings
from reconciler.rotation.waiting import Awaited, hindrances
from reconciler.state.instance import Instance
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.storage_state import StorageState
from shared.objects.resources import STATEFUL_SETS
from shared.session_storage.sizes import Size
from tests.support.storages import NOW, RING, observed, primary, replica, unlinked, with_child, workload

SETTINGS = RotationSettings()
HEAD, NEAR, FAR = primary(0, Size.LARGE, 1, 2), replica(1), replica(2)
DELETED = "2026-11-23T11:59:59Z"


def waits(*instances: Instance, since: timedelta = SETTINGS.refresh, before: StorageState | None = None) -> list[str]:
    """List what a rotation waits for whose passwords were staged that long ago."""
    record = RotationRecord().start("one", "r", NOW - since)
    state = replace(before or observed("large"), instances=instances, rotation=record, key_ring=RING)
    return list(map(str, hindrances(state, SETTINGS, NOW)))


def silent(instance: Instance, problem: Any = "unreachable", **status: Any) -> Instance:
    """Take an instance's answer away, and change the status of its pod, which was made long ago."""
    assert instance.pod is not None
    metadata = instance.pod["metadata"] | {"creationTimestamp": "2026-11-23T10:00:00Z"}
    changed = instance.pod | {"metadata": metadata, "status": instance.pod["status"] | status}
    return replace(instance, pod=changed, facts=None, problem=problem)


def deleted(instance: Instance) -> Instance:
    assert instance.pod is not None
    return replace(instance, pod=instance.pod | {"metadata": instance.pod["metadata"] | {"deletionTimestamp": DELETED}})


def unplaced(instance: Instance) -> Instance:
    assert instance.pod is not None
    return replace(instance, pod=instance.pod | {"spec": {}, "status": {"phase": "Pending"}}, facts=None)


def waiting_container(reason: str, message: str) -> list[Any]:
    return [{"state": {"waiting": {"reason": reason, "message": message}}}]


def test_it_waits_for_nobody_if_every_instance_knows_the_passwords_linked_or_not() -> None:
    assert waits(HEAD, NEAR, unlinked(FAR)) == []


def test_it_waits_for_an_instance_that_logs_in_with_another_password_or_refuses_one() -> None:
    assert NEAR.facts is not None
    other = replace(NEAR, facts=replace(NEAR.facts, upstream_hash=identities.sha256("N" * 32)))
    refusing = replace(FAR, facts=replace(NEAR.facts, hashes=KeyRing().accepted))
    assert waits(HEAD, other, refusing) == [
        "mine-valkey-1, which does not know the present passwords yet",
        "mine-valkey-2, which does not know the present passwords yet",
    ]


@pytest.mark.parametrize(
    ("instance", "reason"),
    [
        (silent(FAR), "does not answer"),
        (silent(FAR, "refused"), "does not let the reconciler in"),
        (replace(silent(FAR), pod=FAR.pod), "is starting"),
        (
            silent(FAR, "", phase="Pending", containerStatuses=waiting_container("ImagePullBackOff", "no such image")),
            (
                "does not run: pod mine-valkey-2-0 waits for its image: no such image: check that the node may pull it,"
                " or set the chart values valkey.image and valkey.imagePullSecrets"
            ),
        ),
    ],
)
def test_it_names_an_instance_that_does_not_answer_and_says_why(instance: Instance, reason: str) -> None:
    assert waits(HEAD, NEAR, instance) == [f"mine-valkey-2, which {reason}"]


def test_it_waits_for_a_storage_without_instances() -> None:
    assert waits() == ["mine, which has no instance yet"]


@pytest.mark.parametrize(
    "instance",
    [Instance(2), unplaced(FAR), silent(FAR, "", phase="Failed"), deleted(silent(FAR))],
    ids=["without a pod", "on no node", "evicted", "being deleted"],
)
def test_it_waits_for_an_instance_that_comes_back_with_nothing_only_until_kubelets_have_new_files(
    instance: Instance,
) -> None:
    just_before = SETTINGS.refresh - timedelta(seconds=1)
    assert len(waits(HEAD, NEAR, instance, since=just_before)) == 1
    assert waits(HEAD, NEAR, instance) == []


def test_it_does_not_wait_for_an_instance_whose_workload_is_being_removed() -> None:
    removed = workload(2, Size.LARGE)
    removed["metadata"] = removed["metadata"] | {"deletionTimestamp": DELETED}
    before = with_child(observed("large"), (STATEFUL_SETS.plural, "mine-valkey-2"), removed)
    assert waits(HEAD, NEAR, silent(FAR), before=before) == []


def test_it_waits_for_the_primary_even_if_its_pod_is_being_deleted() -> None:
    assert waits(deleted(silent(HEAD)), NEAR, FAR) == ["mine-valkey-0, which does not answer"]


def test_it_waits_for_an_instance_that_answers_although_its_pod_is_being_deleted() -> None:
    assert NEAR.facts is not None
    other = replace(NEAR, facts=replace(NEAR.facts, upstream_hash=""))
    assert len(waits(HEAD, deleted(other), FAR)) == 1


def test_it_waits_for_a_crashed_instance_whose_pod_keeps_its_files() -> None:
    crashed = silent(FAR, "down", containerStatuses=waiting_container("CrashLoopBackOff", "back-off 10s"))
    assert crashed.is_gone
    (told,) = waits(HEAD, NEAR, crashed)
    assert told.startswith("mine-valkey-2, which does not run: pod mine-valkey-2-0 waits: it crashes again and again")


def test_a_hindrance_reads_as_a_clause() -> None:
    assert str(Awaited("mine-valkey-1", "does not answer")) == "mine-valkey-1, which does not answer"
