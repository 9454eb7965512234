"""Why a primary that runs does not serve: the true reason, and what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.actions.plan import Plan
from reconciler.actions.valkey import EndScript, RestartServer, SwitchOver
from reconciler.plan.planner import plan
from reconciler.state.instance import Instance
from shared.objects.resources import Object
from shared.session_storage.sizes import Size
from tests.support.storages import NOW, SETTINGS, observed, pod, primary, replica

NO_SPACE = "MISCONF Errors writing to the AOF file: No space left on device"
BROKEN = "MISCONF Errors writing to the AOF file: Input/output error"


def failing(detail: str, size: Size = Size.LARGE, *replicas: int) -> Instance:
    seen = primary(0, size, *replicas)
    assert seen.facts is not None
    disk_fails = detail.startswith("MISCONF")
    return replace(seen, problem="failing", detail=detail, facts=replace(seen.facts, disk_fails=disk_fails))


def busy(**script: Any) -> Instance:
    return Instance(0, pod(0, Size.LARGE), problem="busy", detail="BUSY", **script)


def ready(decided: Plan) -> Object:
    assert decided.status is not None
    (found,) = (item for item in decided.status["conditions"] if item["type"] == "Ready")
    return dict(found)


def decide(first: Instance, *others: Instance) -> Plan:
    return plan(observed("large" if others else "medium", first, *others), SETTINGS, NOW)


@pytest.mark.parametrize(
    ("detail", "reason", "next_step"),
    [
        (NO_SPACE, "DiskFull", "free space there, or choose a larger size"),
        (BROKEN, "WritesFail", "check the volume"),
        ("OOM it uses more memory than it may", "OutOfMemory", "choose a larger size"),
        ("LOADING Valkey is loading the dataset in memory", "LoadingData", "is reading its data"),
        ("ERR something else", "CommandsFail", "ERR something else"),
    ],
)
def test_the_status_gives_the_reason_for_which_a_primary_fails_its_clients(
    detail: str, reason: str, next_step: str
) -> None:
    told = ready(decide(failing(detail, Size.MEDIUM)))
    assert (told["status"], told["reason"]) == ("False", reason)
    assert next_step in told["message"]
    assert "mine-valkey-0" in told["message"]


def test_a_full_disk_moves_the_primary_to_a_replica_without_losing_a_write() -> None:
    decided = decide(failing(NO_SPACE, Size.LARGE, 1, 2), replica(1), replica(2))
    assert [type(step) for step in decided.steps] == [SwitchOver]
    assert ready(decided)["reason"] == "DiskFull"


def test_a_primary_that_fails_its_clients_may_not_be_evicted_as_if_it_were_dead() -> None:
    """Its memory may hold the only copy, as that of a small storage."""
    first = decide(failing(NO_SPACE, Size.MEDIUM))
    assert not [step for step in first.steps if "PodDisruptionBudget" in str(step)]


def test_a_script_is_ended_and_the_status_says_so() -> None:
    decided = decide(busy(), replica(1), replica(2))
    assert [type(step) for step in decided.steps] == [EndScript]
    assert ready(decided)["reason"] == "ScriptRuns"
    assert ready(decided)["message"].endswith("the reconciler ends it")
    assert decided.requeue_after_seconds == 0.2


def test_a_script_that_cannot_be_ended_is_called_that_and_the_server_restarts() -> None:
    decided = decide(busy(busy_for=600.0, has_endless_script=True))
    assert [type(step) for step in decided.steps] == [RestartServer]
    assert "has written already, so Valkey cannot end it" in ready(decided)["message"]
