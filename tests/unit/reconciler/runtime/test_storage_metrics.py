"""What Prometheus learns from passes over a storage, on an API server and instances in memory."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.credentials import identities
from reconciler.metrics.primary_answers import PrimaryAnswers
from reconciler.observe.observer import Observer
from reconciler.runtime import storage_metrics
from reconciler.runtime.storage_metrics import StorageMetrics
from reconciler.state.instance import Instance
from shared import names
from shared.consumers.identity import Consumer, Usage
from shared.objects.resources import SESSION_STORAGES
from tests.support.exposed import parsed
from tests.support.simulated import KEY, Simulation
from tests.support.storages import NOW, observed, replicated, settled, unlinked


def text_of(metrics: StorageMetrics) -> bytes:
    metrics.exposition.is_leader = True
    return b"".join(metrics.exposition.pieces())


def told(metrics: StorageMetrics, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    found = parsed(text_of(metrics)).get(name)
    return {tuple(each.labels[label] for label in labels): each.value for each in found.samples} if found else {}


@pytest.fixture(name="mine")
async def mine_fixture() -> Simulation:
    simulation = Simulation()
    await simulation.ask_for(size="large")
    await simulation.settle()
    return simulation


async def test_a_storage_that_is_ready_has_its_series(mine: Simulation) -> None:
    assert told(mine.metrics, "redis_up", "pod", "role") == {
        ("mine-valkey-0-0", "primary"): 1,
        ("mine-valkey-1-0", "replica"): 1,
        ("mine-valkey-2-0", "replica"): 1,
    }
    assert told(mine.metrics, "session_storage_info", "size", "phase", "version") == {("large", "Ready", "9.1.2"): 1}
    assert told(mine.metrics, "session_storage_condition", "type", "status")["Ready", "True"] == 1
    assert told(mine.metrics, "session_storage_synced_replicas") == {(): 2}
    assert told(mine.metrics, "session_storage_probes_total", "outcome") == {("answered",): 0, ("unanswered",): 0}


async def test_no_password_and_no_hash_of_one_is_told(mine: Simulation) -> None:
    held = {value for secret in ("mine-auth", "mine-connection") for value in mine.secret(secret).values()}
    passwords = {value for value in held if identities.is_password(value)}
    assert len(passwords) == len(identities.PASSWORD_KEYS)
    secrets = passwords | {hashlib.sha256(each.encode()).hexdigest() for each in passwords}
    assert not [each for each in secrets if each in text_of(mine.metrics).decode()]


async def test_a_planned_change_of_the_primary_counts_once(mine: Simulation) -> None:
    asked = {"metadata": {"annotations": {names.ANNOTATION_SWITCHOVER: "1"}}}
    await mine.edit(SESSION_STORAGES, "mine", asked)
    await mine.settle()
    await mine.reconcile()
    counts = told(mine.metrics, "session_storage_primary_changes_total", "reason", "planned")
    assert {labels: count for labels, count in counts.items() if count} == {("Asked", "true"): 1}
    (primary,) = (pod for pod, role in told(mine.metrics, "redis_up", "pod", "role") if role == "primary")
    assert primary != "mine-valkey-0-0"


async def test_a_pass_that_fails_is_told_by_the_conditions(mine: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    async def observe(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Observer, "observe", observe)
    with pytest.raises(RuntimeError):
        await mine.reconcile()
    assert told(mine.metrics, "session_storage_condition", "type", "status")["Reconciled", "False"] == 1
    assert told(mine.metrics, "redis_up"), "what was seen last still stands"


async def test_a_storage_that_no_pass_gets_through_has_series_from_its_first_failure_on(mine: Simulation) -> None:
    """A new leader knows nothing of it yet, and must not keep its trouble to itself."""
    now = [NOW]
    metrics = StorageMetrics(PrimaryAnswers(), lambda _: (), lambda: now[0])
    for _ in range(2):
        metrics.note_failure(mine.find(SESSION_STORAGES, "mine") or {})
        now[0] += timedelta(minutes=10)
    assert told(metrics, "session_storage_looked_at_timestamp_seconds") == {(): NOW.timestamp()}
    assert told(metrics, "session_storage_condition", "type", "status")["Ready", "True"] == 1


async def test_a_storage_that_was_deleted_and_made_anew_begins_anew(mine: Simulation) -> None:
    """No pass need have seen that the former one was gone."""
    metrics = StorageMetrics(PrimaryAnswers(), lambda _: (), lambda: NOW)
    metrics.note_look(settled(observed("large"), mine.status), None)
    metrics.note_sessions(KEY, {("team", "srv"): 7})
    new = observed("large")
    metrics.note_look(replace(new, storage=replace(new.storage, uid="another")), None)
    assert told(metrics, "session_storage_sessions") == {}
    assert told(metrics, "session_storage_probes_total") == {}


async def test_a_storage_that_is_gone_has_no_series_any_more(mine: Simulation) -> None:
    await mine.api.delete(SESSION_STORAGES, *KEY)
    assert await mine.reconcile() is None
    mine.metrics.note_sessions(KEY, {("team", "srv"): 1})
    assert b"mine" not in text_of(mine.metrics)
    assert (list(mine.metrics.countable()), mine.metrics.counts_at(KEY)) == ([], None)


async def test_sessions_are_counted_as_consumers_log_in(mine: Simulation) -> None:
    host, port, login = mine.metrics.counts_at(KEY) or ("", 0, None)
    assert (port, login and login.user) == (names.VALKEY_PORT, identities.CONSUMER.user)
    assert host != mine.primary, "a replica in sync spares clients the wait"
    mine.metrics.note_sessions(KEY, {("team", "srv"): 7})
    assert told(mine.metrics, "session_storage_sessions", "consumer_namespace", "consumer") == {("team", "srv"): 7}


async def test_an_address_that_nobody_has_looked_at_for_a_minute_is_not_asked(
    mine: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be another pod's by now, which would get a password."""
    assert mine.metrics.counts_at(KEY) is not None
    monkeypatch.setattr(storage_metrics, "PLACE_SECONDS", -1.0)
    assert mine.metrics.counts_at(KEY) is None
    assert list(mine.metrics.countable()) == []


def noted(*instances: Instance) -> StorageMetrics:
    metrics = StorageMetrics(PrimaryAnswers(), lambda _: (), lambda: NOW)
    metrics.note_look(observed("large", *instances), None)
    return metrics


@pytest.mark.parametrize("broken", ["unlinked", "of another history"])
async def test_a_replica_that_is_not_in_sync_is_not_asked(broken: str) -> None:
    primary, first, second = observed("large").instances
    away = unlinked(first) if broken == "unlinked" else replicated(first, lineage="b" * 40)
    assert (noted(primary, away, second).counts_at(KEY) or ("",))[0] == second.address
    assert (noted(primary, away, unlinked(second)).counts_at(KEY) or ("",))[0] == primary.address


async def test_the_consumers_of_a_storage_are_told() -> None:
    usages = (Usage(Consumer("MCPServer", "team", "srv"), KEY, is_wired=True),)
    metrics = StorageMetrics(PrimaryAnswers(), lambda _: usages, lambda: NOW)
    metrics.note_look(observed("large", usages=usages), None)
    assert told(metrics, "session_storage_consumers", "kind", "wired") == {
        ("MCPServer", "true"): 1,
        ("MCPServer", "false"): 0,
    }


async def test_seconds_without_an_answer_of_the_primary_are_told_once_the_storage_has_served(mine: Simulation) -> None:
    answers = PrimaryAnswers()
    metrics = StorageMetrics(answers, lambda _: (), lambda: NOW)
    metrics.note_look(observed("small"), None)
    assert told(metrics, "session_storage_probes_total") == {}
    served = settled(observed("small"), mine.status)
    metrics.note_look(served, None)
    answers.count_silence(asyncio.get_running_loop().time() + 60)
    metrics.note_look(served, None)
    unanswered = told(metrics, "session_storage_probes_total", "outcome")[("unanswered",)]
    assert unanswered == pytest.approx(59, abs=1)
