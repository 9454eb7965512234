"""A change of the primary counts once, whichever process made it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from reconciler.metrics.families import STORAGE
from reconciler.metrics.lines import FamilyLines, StorageLines
from reconciler.metrics.primary_changes import BOUNDS, PrimaryChanges
from reconciler.plan.change import PLANNED
from reconciler.runtime.storage_metrics import REASONS
from reconciler.state.primary_record import FIRST_START, PrimaryRecord
from tests.support.exposed import values
from tests.support.storages import NOW

KEY = ("team", "mine")
STARTED = PrimaryRecord().claim(0, FIRST_START, NOW).end(NOW)


def lines_of(changes: PrimaryChanges) -> FamilyLines:
    lines = StorageLines()
    changes.add_lines(lines.labelled(STORAGE, *KEY), KEY)
    return lines.encoded()


def counted(changes: PrimaryChanges) -> dict[tuple[str, ...], float]:
    found = values(lines_of(changes)["session_storage_primary_changes_total"], "reason", "planned")
    return {labels: count for labels, count in found.items() if count}


def moved(last: PrimaryRecord, reason: str, took: float = 0.08) -> PrimaryRecord:
    now = NOW + timedelta(minutes=last.epoch + 1)
    return last.claim(1, reason, now).end(now, took)


def test_reasons_that_have_not_come_up_count_zero() -> None:
    """Otherwise Prometheus would not take the first change for an increase."""
    changes = PrimaryChanges(REASONS)
    changes.note(KEY, STARTED)
    found = values(lines_of(changes)["session_storage_primary_changes_total"], "reason", "planned")
    assert found == {(reason, str(is_planned).lower()): 0 for reason, is_planned in REASONS.items()}
    assert {reason for reason, is_planned in REASONS.items() if is_planned} == PLANNED


def test_before_the_first_change_every_bucket_counts_zero() -> None:
    """Otherwise Prometheus would see no growth in the duration of the first one."""
    changes = PrimaryChanges(REASONS)
    changes.note(KEY, STARTED)
    found = values(lines_of(changes)["session_storage_failover_seconds"], "planned")
    assert found == {("false",): 0, ("true",): 0}
    text = lines_of(changes)["session_storage_failover_seconds"].decode()
    assert text.count("_bucket{") == 2 * (len(BOUNDS) + 1)
    assert all(line.endswith((" 0", " 0.000000")) for line in text.splitlines())


def test_each_change_counts_once_however_often_it_is_seen() -> None:
    changes, lost = PrimaryChanges(REASONS), moved(STARTED, "PrimaryLost")
    for record in (STARTED, STARTED, lost, lost, moved(lost, "Asked", 0.9)):
        changes.note(KEY, record)
    assert counted(changes) == {("PrimaryLost", "false"): 1, ("Asked", "true"): 1}


def test_a_claim_that_is_taken_back_is_no_change() -> None:
    changes, lost = PrimaryChanges(REASONS), moved(STARTED, "PrimaryLost")
    changes.note(KEY, lost)
    changes.note(KEY, lost.at(lost.epoch + 3))
    assert counted(changes) == {}


def test_the_first_start_is_no_change() -> None:
    changes = PrimaryChanges(REASONS)
    changes.note(KEY, PrimaryRecord())
    changes.note(KEY, STARTED)
    assert counted(changes) == {}


def test_a_new_leader_does_not_count_what_came_before() -> None:
    changes = PrimaryChanges(REASONS)
    changes.note(KEY, moved(STARTED, "PrimaryLost"))
    assert counted(changes) == {}


def test_planned_and_unplanned_changes_take_their_own_time() -> None:
    changes, lost = PrimaryChanges(REASONS), moved(STARTED, "PrimaryLost", 0.08)
    for record in (STARTED, lost, moved(lost, "Asked", 0.9)):
        changes.note(KEY, record)
    text = lines_of(changes)["session_storage_failover_seconds"].decode()
    for labels, count in (
        ('planned="false",le="0.1"', 1),
        ('planned="true",le="0.5"', 0),
        ('planned="true",le="1.0"', 1),
    ):
        assert f"{labels}}} {count}\n" in text


def test_nothing_is_left_of_a_storage_that_is_gone() -> None:
    changes = PrimaryChanges(REASONS)
    changes.note(KEY, STARTED)
    changes.forget(KEY)
    assert lines_of(changes) == {}
    changes.note(KEY, replace(STARTED, reason="PrimaryLost"))
    assert counted(changes) == {}
