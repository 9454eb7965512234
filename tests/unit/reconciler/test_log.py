"""The log tells each decision about a storage in one line, in the words of its status, and nothing secret."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from datetime import timedelta
from typing import Any, Final

import pytest

from reconciler.apply.applier import Applier
from reconciler.credentials import identities
from reconciler.runtime import workers
from reconciler.runtime.workqueue import WorkQueue
from shared import errors, names
from shared.objects.resources import PODS, SESSION_STORAGES, Key
from shared.objects.timestamps import written
from tests.support.logged import Log, logged
from tests.support.simulated import KEY, NAMESPACE, Simulation

DECIDED: Final = "reconciled a storage"
LOOKED: Final = "looked at a storage"
SWITCHOVER: Final = {"metadata": {"annotations": {names.ANNOTATION_SWITCHOVER: "one"}}}
ROTATION: Final = {"metadata": {"annotations": {names.ANNOTATION_ROTATE: "one"}}}


async def running(size: str = "small") -> Simulation:
    simulation = Simulation()
    await simulation.ask_for(size=size)
    await simulation.settle()
    return simulation


async def ask_for_level(simulation: Simulation, level: str, lasts: timedelta) -> None:
    end = written(simulation._now() + lasts)
    await simulation.edit(
        SESSION_STORAGES, KEY[1], {"metadata": {"annotations": {names.ANNOTATION_LOG_LEVEL: f"{level}@{end}"}}}
    )


def decisions(log: Log) -> list[dict[str, Any]]:
    return log.with_message(DECIDED)


async def test_the_start_of_a_storage_is_told_decision_by_decision() -> None:
    with logged() as log:
        simulation = await running()
    first, *_, last = decisions(log)
    assert first["actions"][0] == "create Secret mine-auth"
    assert first["phase"] == "Provisioning"
    assert first["conditions"]["Ready"] == f"False {first['reason']}"
    assert (last["phase"], last["reason"]) == ("Ready", "StorageReady")
    assert last["conditions"]["Ready"] == "True StorageReady"
    assert {line["outcome"] for line in decisions(log)} == {"done"}
    assert all(isinstance(line["seconds"], float) for line in decisions(log))
    assert simulation.status["reason"] == "StorageReady"


async def test_a_calm_storage_has_no_line() -> None:
    simulation = await running()
    with logged() as log:
        await simulation.reconcile()
    assert log.text == ""


async def test_a_move_of_the_primary_has_one_line_with_the_reason_of_its_event() -> None:
    simulation = await running("large")
    await simulation.edit(SESSION_STORAGES, KEY[1], SWITCHOVER)
    with logged() as log:
        await simulation.settle()
    (move,) = (line for line in decisions(log) if any("move the primary" in each for each in line["actions"]))
    assert move["reason"] == "Asked"
    assert move["reason"] in simulation.events
    assert move["outcome"] == "done"


async def test_the_loss_of_a_primary_has_a_line_with_the_instance_that_takes_over() -> None:
    simulation = await running("large")
    simulation.valkey.instances[simulation.primary].is_reachable = False
    await simulation.api.delete(PODS, NAMESPACE, str(simulation.status["primaryPod"]))
    with logged() as log:
        await simulation.settle()
    (move,) = (line for line in decisions(log) if any(each.startswith("promote ") for each in line["actions"]))
    assert move["reason"] == "PrimaryLost"
    assert "PrimaryLost" in simulation.events


async def test_a_decision_that_the_api_server_refuses_says_so() -> None:
    simulation = Simulation()
    simulation.api.refuse = lambda call: errors.Forbidden("403 a policy") if "statefulsets/" in call else None
    await simulation.ask_for(size="small")
    with logged() as log:
        for _ in range(3):
            await simulation.reconcile()
    (refused,) = (line for line in decisions(log) if line["outcome"] == "refused")
    assert refused["conditions"]["Ready"] == "False ApplyRefused"
    assert any("StatefulSet" in action for action in refused["actions"])


async def test_a_decision_that_fails_is_told_with_its_reason_and_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise errors.NoAnswer("no connection")

    simulation = await running()
    del simulation.api.objects["networkpolicies", NAMESPACE, "mine-valkey"]
    monkeypatch.setattr(Applier, "_step", fail)
    await simulation.look()
    with logged() as log, simulation.instances():
        await passed(simulation._reconciler.reconcile)
    (decision,), (failure,) = decisions(log), log.with_message("reconcile failed; trying again")
    assert decision["outcome"] == "failed"
    assert (failure["reason"], failure["error"]) == ("NoAnswer", "no connection")
    assert failure["retry_seconds"] > 0
    assert decision["reconcile_id"] == failure["reconcile_id"] != ""
    assert decision["storage"] == failure["storage"] == "team/mine"


async def test_every_reconcile_has_an_id_of_its_own() -> None:
    async def bug(_: Key) -> float | None:
        raise RuntimeError

    with logged() as log:
        for _ in range(3):
            await passed(bug)
    assert len({line["reconcile_id"] for line in log.lines}) == len(log.lines) == 3


async def test_an_annotation_has_more_logged_of_a_storage_until_its_end() -> None:
    simulation = await running("large")
    await ask_for_level(simulation, "debug", timedelta(hours=1))
    with logged() as log:
        await simulation.reconcile()
        await simulation.reconcile()
    (begun,) = log.with_message("logging more of a storage")
    assert begun["log_level"] == "debug"
    assert len(log.with_message(LOOKED)) == 2
    seen = log.with_message("asked all instances")[0]["instances"]
    assert sorted(each.partition(", ")[0] for each in seen) == [
        "pod mine-valkey-0-0: primary",
        "pod mine-valkey-1-0: replica in contact",
        "pod mine-valkey-2-0: replica in contact",
    ]
    simulation.passed += timedelta(hours=2)
    with logged() as later:
        await simulation.reconcile()
        await simulation.reconcile()
    assert [line["message"] for line in later.lines if line["level"] == "debug"] == []
    assert len(later.with_message("the annotation for the log level does not count now")) == 1


async def test_an_annotation_that_cannot_be_read_is_told_once_and_not_repeated() -> None:
    simulation = await running()
    annotations = {names.ANNOTATION_LOG_LEVEL: "hunter2"}
    await simulation.edit(SESSION_STORAGES, KEY[1], {"metadata": {"annotations": annotations}})
    with logged() as log:
        await simulation.reconcile()
        await simulation.reconcile()
    (line,) = log.lines
    assert line["message"] == "the annotation for the log level cannot be read"
    assert "hunter2" not in log.text


async def passed(reconcile: workers.Reconcile) -> None:
    """Have a worker make one pass over the storage."""
    over = asyncio.Event()

    class Queue(WorkQueue):
        def done(self, key: tuple[str, ...]) -> None:
            super().done(key)
            over.set()

    queue = Queue()
    queue.add(KEY)
    working = asyncio.ensure_future(workers.run(queue, reconcile, "storage", 1))
    async with asyncio.timeout(5):
        await over.wait()
    working.cancel()
    await asyncio.wait({working})
    queue._cancel_timer(KEY)


def secrets_of(simulation: Simulation) -> set[str]:
    """List every password of the auth Secret, of the present and of the past, with the hashes that Valkey keeps."""
    plain = {value for value in simulation.secret("mine-auth").values() if identities.is_password(value)}
    return plain | {hashlib.sha256(each.encode()).hexdigest() for each in plain}


async def test_no_password_no_hash_and_no_session_is_in_the_log_of_a_whole_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything that there is to log, with errors that quote each of them."""
    forbidden: set[str] = set()
    sessions = [names.key_prefix("MCPServer", "team", "search") + str(uuid.uuid4()) for _ in range(3)]
    with logged("DEBUG") as log:
        simulation = await running("large")
        forbidden |= secrets_of(simulation)
        for session in sessions:
            simulation.valkey.instances[simulation.primary].history.disk.add(session)
        await simulation.edit(SESSION_STORAGES, KEY[1], SWITCHOVER)
        await simulation.settle()
        await simulation.edit(SESSION_STORAGES, KEY[1], ROTATION)
        for _ in range(12):
            await simulation.settle()
            forbidden |= secrets_of(simulation)
        simulation.valkey.instances[simulation.primary].is_reachable = False
        for _ in range(3):
            await simulation.reconcile()
        for quoted in (*sorted(forbidden), *sessions):

            async def fail(key: object, quoted: str = quoted) -> float | None:
                del key
                raise RuntimeError(f"cannot read {quoted!r}") from ValueError(quoted)

            await passed(fail)
    assert len(forbidden) >= 2 * 2 * len(identities.PASSWORD_KEYS)  # before and after the rotation, plain and hashed
    assert len(decisions(log)) > 10
    assert len(log.with_message("a bug stopped the reconcile; trying again")) == len(forbidden) + len(sessions)
    ids = [session.rpartition(":")[2] for session in sessions]
    # A count, so that no failure shows a password.
    assert sum(each in log.text for each in (*forbidden, *ids)) == 0
