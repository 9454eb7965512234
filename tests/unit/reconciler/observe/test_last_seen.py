"""Earlier observations of instances count beside their present answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.observe.last_seen import LastSeen
from reconciler.state.instance import Instance, InstanceFacts
from reconciler.state.replication_info import Replication

KEY = ("team", "mine")


class Watch:
    """A `LastSeen` with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.last_seen = LastSeen(lambda: self.now)

    def later(self, seconds: float) -> Watch:
        self.now += seconds
        return self

    def take(self, *reports: Instance) -> tuple[Instance, ...]:
        return self.last_seen.update(KEY, 0, reports)


def pod(index: int, uid: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": f"mine-valkey-{index}-0", "uid": uid or f"uid-{index}"},
        "status": {"phase": "Running"},
    }


def replica(index: int, silence: int | None, uid: str = "") -> Instance:
    seen = Replication("a" * 40, offset=7, upstream="x", is_linked=silence is not None, silence=silence)
    return Instance(index, pod(index, uid), InstanceFacts("slave", is_loading=False, replication=seen))


def silent(index: int, seconds: float) -> Instance:
    return Instance(index, pod(index), problem="unreachable", silent_for=seconds)


@pytest.fixture(name="watch")
def watch_fixture() -> Watch:
    return Watch()


def test_a_primary_that_a_replica_hears_counts_as_alive(watch: Watch) -> None:
    primary, _ = watch.take(silent(0, 9.0), replica(1, silence=0))
    assert primary.silent_for == 1.0


def test_the_latest_sign_of_life_counts_even_when_the_replica_that_reported_it_is_gone(watch: Watch) -> None:
    watch.take(silent(0, 9.0), replica(1, silence=0))
    primary, _ = watch.later(3).take(silent(0, 12.0), silent(1, 3.0))
    assert primary.silent_for == 4.0


def test_an_instance_that_answers_is_not_silent(watch: Watch) -> None:
    assert [instance.silent_for for instance in watch.take(replica(0, silence=0), replica(1, silence=0))] == [0.0, 0.0]


def test_a_replica_lags_since_it_was_last_seen_to_hear_its_primary(watch: Watch) -> None:
    watch.take(silent(0, 0.0), replica(1, silence=1))
    _, behind = watch.later(16).take(silent(0, 0.0), replica(1, silence=None))
    assert behind.not_hearing_for == 16.0


def test_a_replica_that_was_never_seen_to_hear_its_primary_has_no_known_lag(watch: Watch) -> None:
    watch.take(silent(0, 0.0), replica(1, silence=9))
    assert watch.later(16).take(silent(0, 0.0), replica(1, silence=None))[1].not_hearing_for == 0.0


def test_observations_of_a_former_pod_or_storage_do_not_count_for_the_next_one(watch: Watch) -> None:
    watch.take(silent(0, 0.0), replica(1, silence=0))
    assert watch.later(16).take(silent(0, 0.0), replica(1, silence=None, uid="new"))[1].not_hearing_for == 0.0
    watch.take(silent(0, 0.0), replica(1, silence=0, uid="new"))
    watch.last_seen.forget(KEY)
    assert watch.later(16).take(silent(0, 0.0), replica(1, silence=None, uid="new"))[1].not_hearing_for == 0.0


def busy(index: int) -> Instance:
    return Instance(index, pod(index), problem="busy")


def test_a_script_counts_from_when_it_was_first_seen(watch: Watch) -> None:
    assert watch.take(busy(0))[0].busy_for == 0.0
    assert watch.later(7).take(busy(0))[0].busy_for == 7.0
    assert watch.later(1).take(replica(0, silence=0))[0].busy_for == 0.0
    assert watch.later(5).take(busy(0))[0].busy_for == 0.0, "another script"


def test_a_script_that_cannot_be_ended_counts_as_such_until_it_has_ended(watch: Watch) -> None:
    (seen,) = watch.take(busy(0))
    assert not seen.has_endless_script
    watch.last_seen.note_endless_script(seen)
    assert watch.take(busy(0))[0].has_endless_script
    watch.take(replica(0, silence=0))
    assert not watch.take(busy(0))[0].has_endless_script


@pytest.mark.parametrize("late", [silent(0, 2.0), Instance(0, pod(0))], ids=["unusable", "without an answer"])
def test_an_instance_stays_unsteady_for_a_minute_after_it_was_unwell(watch: Watch, late: Instance) -> None:
    def is_unsteady(report: Instance) -> bool:
        return watch.take(report)[0].is_unsteady

    well = replica(0, silence=0)
    assert not is_unsteady(well)
    assert is_unsteady(late)
    for passed, expected in ((1.0, True), (58.0, True), (1.0, False)):
        watch.later(passed)
        assert is_unsteady(well) is expected


def test_an_instance_whose_heartbeat_was_late_is_unsteady_although_it_answers_now(watch: Watch) -> None:
    watch.take(replace(replica(0, silence=0), is_unsteady=True), replica(1, silence=0))
    assert [each.is_unsteady for each in watch.later(5).take(replica(0, silence=0), replica(1, silence=0))] == [
        True,
        False,
    ]
    watch.last_seen.forget(KEY)
    assert not watch.take(replica(0, silence=0))[0].is_unsteady
