"""What the reconciler knows of a storage: its state, its consumers, its passwords and its replicas."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.metrics.lines import FamilyLines, Histogram, StorageLines
from reconciler.metrics.storage_lines import UNKNOWN, condition_lines, session_lines
from reconciler.state.storage_state import StorageState
from shared.consumers.identity import Consumer, Usage
from shared.session_storage.sizes import Size
from shared.session_storage.status import (
    Condition,
    InstanceStatus,
    Phase,
    RotationPhase,
    RotationStatus,
    SessionStorageStatus,
)
from tests.support.exposed import lines_of, values
from tests.support.storages import NOW, OFFSET, observed, replicated, session_storage, state_of, unlinked

KEY = ("team", "mine")
PHASE = RotationPhase.AWAIT_CONSUMERS
EXTERNAL = {"external": {"url": "redis://store:6379"}}


def told(lines: FamilyLines, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    return values(lines[f"session_storage_{name}"], *labels)


def status_of(**fields: Any) -> SessionStorageStatus:
    return SessionStorageStatus(**{"phase": Phase.READY, "size": Size.LARGE} | fields)


def node(index: int, *, synced: bool, role: Any = "replica") -> InstanceStatus:
    return InstanceStatus(name=f"mine-valkey-{index}", role=role, synced=synced)


def large(**fields: Any) -> FamilyLines:
    return lines_of(observed("large"), status=status_of(**fields))


def test_a_storage_is_told_by_size_phase_and_version() -> None:
    assert told(large(), "info", "size", "phase", "version") == {("large", "Ready", ""): 1}
    assert told(large(), "looked_at_timestamp_seconds") == {(): NOW.timestamp()}


def test_a_users_own_store_has_no_instances_and_no_passwords_of_ours() -> None:
    lines = lines_of(state_of(session_storage(EXTERNAL)), status=status_of(size=None))
    assert told(lines, "info", "size", "phase", "version") == {("external", "Ready", ""): 1}
    assert lines.keys() == {"session_storage_info", "session_storage_looked_at_timestamp_seconds"}


def test_a_storage_that_is_being_deleted_tells_its_phase_alone() -> None:
    leaving = session_storage({"size": "large"}, deletionTimestamp="2026-11-23T11:00:00Z")
    lines = lines_of(state_of(leaving), status=status_of(phase=Phase.TERMINATING))
    assert lines.keys() == {"session_storage_info", "session_storage_looked_at_timestamp_seconds"}


def test_a_condition_has_a_line_for_each_status_of_which_one_is_true() -> None:
    blocked = Condition(type="FailoverBlocked", status="Unknown", reason="Why", last_transition_time=NOW)
    assert told(condition_lines(KEY, [blocked]), "condition", "type", "status") == {
        ("FailoverBlocked", "True"): 0,
        ("FailoverBlocked", "False"): 0,
        ("FailoverBlocked", "Unknown"): 1,
    }


def test_replicas_in_sync_are_those_of_the_status() -> None:
    nodes = [node(0, synced=True, role="primary"), node(1, synced=True), node(2, synced=False)]
    assert told(large(nodes=nodes), "synced_replicas") == {(): 1}


def lagging(state: StorageState) -> StorageState:
    behind, strange = replicated(state.instances[1], offset=OFFSET - 77), replicated(state.instances[2], lineage="b")
    return replace(state, instances=(state.instances[0], behind, strange))


def test_the_lag_is_told_in_bytes_and_not_between_two_histories() -> None:
    lines = lines_of(lagging(observed("large")))
    assert told(lines, "replica_lag_bytes", "pod") == {("mine-valkey-1-0",): 77}
    ahead = replicated(observed("large").instances[1], offset=OFFSET + 5)
    state = observed("large")
    lines = lines_of(replace(state, instances=(state.instances[0], ahead)))
    assert told(lines, "replica_lag_bytes", "pod") == {("mine-valkey-1-0",): 0}


def test_no_server_can_claim_a_lag_that_prometheus_refuses_with_all_that_it_gets() -> None:
    primary, *others = observed("large").instances
    lines = lines_of(observed("large", replicated(primary, offset=10**400), *others))
    assert set(told(lines, "replica_lag_bytes", "pod").values()) == {2.0**63}


def test_the_role_is_that_by_which_clients_are_led() -> None:
    state = observed("large")
    both = replace(state, instances=(state.instances[0], unlinked(state.instances[1])))
    roles = values(lines_of(both)["redis_up"], "pod", "role")
    assert roles == {("mine-valkey-0-0", "primary"): 1, ("mine-valkey-1-0", "replica"): 1}


def test_a_primary_that_holds_writes_back_is_told() -> None:
    state = observed("small")
    (primary,) = state.instances
    assert primary.facts is not None
    paused = replace(primary, facts=replace(primary.facts, is_paused=True))
    assert told(lines_of(state), "writes_paused") == {(): 0}
    assert told(lines_of(replace(state, instances=(paused,))), "writes_paused") == {(): 1}


def test_the_age_of_the_password_and_how_often_it_is_to_change() -> None:
    scheduled = session_storage({"size": "small", "rotation": {"every": "720h"}})
    made = NOW - timedelta(hours=5)
    lines = lines_of(observed("small", storage=scheduled), password_made=made)
    assert told(lines, "password_age_seconds") == {(): 5 * 3600}
    assert told(lines, "rotation_interval_seconds") == {(): 720 * 3600}
    unknown = lines_of(observed("small"), password_made=None)
    assert {"session_storage_password_age_seconds", "session_storage_rotation_interval_seconds"}.isdisjoint(unknown)


def test_how_long_a_rotation_has_been_in_its_phase() -> None:
    rotation = RotationStatus(phase=PHASE, since=NOW - timedelta(minutes=3), revision="abc-1")
    assert told(large(rotation=rotation), "rotation_phase_since_seconds", "phase") == {(PHASE.value,): 180}


def usage(name: str, namespace: str = "team", *, wired: bool = True, leaves: bool = False) -> Usage:
    return Usage(Consumer("MCPServer", namespace, name), KEY, is_wired=wired, is_terminating=leaves)


def test_consumers_are_wired_if_they_may_use_the_storage_and_the_webhook_connected_them() -> None:
    usages = (usage("a"), usage("b"), usage("c", wired=False), usage("d", "elsewhere"), usage("e", leaves=True))
    state = observed("small", usages=usages)
    assert told(lines_of(state, usages=usages), "consumers", "kind", "wired") == {
        ("MCPServer", "true"): 2,
        ("MCPServer", "false"): 2,
    }


def test_sessions_and_what_one_of_them_costs() -> None:
    lines = session_lines(KEY, {("team", "a"): 3, ("other", "b"): 0, ("", UNKNOWN): 1}, 4096, NOW)
    assert told(lines, "sessions", "consumer_namespace", "consumer") == {
        ("team", "a"): 3,
        ("other", "b"): 0,
        ("", UNKNOWN): 1,
    }
    assert told(lines, "memory_bytes_per_session") == {(): 1024}
    assert told(lines, "sessions_counted_timestamp_seconds") == {(): NOW.timestamp()}


@pytest.mark.parametrize(("sessions", "memory"), [({}, 4096), ({("team", "a"): 0}, 4096), ({("team", "a"): 1}, None)])
def test_without_a_session_none_costs_anything(sessions: Any, memory: int | None) -> None:
    assert "session_storage_memory_bytes_per_session" not in session_lines(KEY, sessions, memory, NOW)


def test_a_duration_on_a_bound_is_within_it() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.1, 0.2, 1.0, 7.0):
        histogram.observe(seconds)
    assert histogram.counts == [1, 2, 1]
    assert histogram.total == pytest.approx(8.3)


def test_no_lines_are_none() -> None:
    assert StorageLines().encoded() == {}
