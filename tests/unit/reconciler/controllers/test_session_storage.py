"""A pass that fails is told in the storage's status, and holds up no other storage."""

from __future__ import annotations

from typing import Any, Final

import pytest

from reconciler.apply.applier import Applier, Failures
from reconciler.controllers.session_storage import TOLD_AFTER, Reconciler
from reconciler.observe.observer import Observer
from shared import errors
from shared.kubernetes.informer import Informer
from shared.objects.resources import SESSION_STORAGES, STATEFUL_SETS, Key, Object
from tests.support.fakes import FakeApi
from tests.support.simulated import KEY, NAMESPACE, Simulation
from tests.support.storages import NOW, SETTINGS

NAMED: Final = "a bug: no such thing"


@pytest.fixture(name="mine")
async def mine_fixture() -> Simulation:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    await simulation.settle()
    return simulation


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Have each look at a storage end by an error."""

    async def observe(*_: object) -> None:
        raise error

    monkeypatch.setattr(Observer, "observe", observe)


def told(simulation: Simulation) -> Object:
    return next((each for each in simulation.status["conditions"] if each["type"] == "Reconciled"), {})


async def test_an_unexpected_error_is_told_at_once_and_once(mine: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        failing(patched, RuntimeError(NAMED))
        with pytest.raises(RuntimeError):
            await mine.reconcile()
        assert (told(mine)["status"], told(mine)["reason"]) == ("False", "UnexpectedError")
        assert NAMED in told(mine)["message"]
        assert mine.events[-1] == "UnexpectedError"
        assert mine.status["phase"] == "Ready"
        with mine.quiet(), pytest.raises(RuntimeError):
            await mine.reconcile()
    for _ in range(2):
        await mine.reconcile()
    assert told(mine) == {}


async def test_no_password_is_repeated_from_an_unexpected_error(
    mine: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = mine.secret("mine-auth")["operator-password"]
    failing(monkeypatch, ValueError(f"cannot read {password!r} of redis://:hunter2@host, nor {password[:20]}"))
    with pytest.raises(ValueError, match="cannot read"):
        await mine.reconcile()
    message = told(mine)["message"]
    assert "ValueError" in message
    assert not [part for part in (password, password[:20], "hunter2") if part in message]


async def test_an_error_that_passes_by_itself_is_told_only_once_it_lasts(
    mine: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, errors.StoreUnreachable("no way there"))
    for _ in range(TOLD_AFTER - 1):
        with mine.quiet(), pytest.raises(errors.StoreUnreachable):
            await mine.reconcile()
    with pytest.raises(errors.StoreUnreachable):
        await mine.reconcile()
    assert told(mine)["reason"] == "StoreUnreachable"
    assert "no way there" in told(mine)["message"]


async def test_a_step_that_fails_again_and_again_is_told_once(
    mine: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise errors.StoreUnreachable("no way there")

    del mine.api.objects["networkpolicies", NAMESPACE, "mine-valkey"]
    with monkeypatch.context() as patched:
        patched.setattr(Applier, "_step", fail)
        for _ in range(TOLD_AFTER):
            with pytest.raises(errors.StoreUnreachable):
                await mine.reconcile()
        assert told(mine)["reason"] == "StoreUnreachable"
        for _ in range(3):
            with mine.quiet(), pytest.raises(errors.StoreUnreachable):
                await mine.reconcile()
    await mine.settle()
    await mine.reconcile()
    assert told(mine) == {}


@pytest.mark.parametrize("name", ["oddly-named", "mine-valkey-x", "mine-valkey-", "mine-valkey-01", "mine-valkey-²"])
async def test_a_stateful_set_with_our_labels_and_another_name_is_nobodys_instance(mine: Simulation, name: str) -> None:
    labels = mine.api.objects["statefulsets", NAMESPACE, "mine-valkey-0"]["metadata"]["labels"]
    odd = {"metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}, "spec": {}}
    await mine.api.create(STATEFUL_SETS, odd)
    with mine.quiet():
        await mine.reconcile()
    assert mine.status["phase"] == "Ready"


async def test_somebody_elses_set_under_a_free_number_is_left_alone_and_takes_only_its_number(mine: Simulation) -> None:
    labels = mine.api.objects["statefulsets", NAMESPACE, "mine-valkey-0"]["metadata"]["labels"]
    theirs: Object = {"metadata": {"name": "mine-valkey-1", "namespace": NAMESPACE}, "spec": {}}
    theirs["metadata"] |= {"labels": labels, "ownerReferences": [{"uid": "theirs", "controller": True}]}
    stored = await mine.api.create(STATEFUL_SETS, theirs)
    with mine.quiet():
        await mine.reconcile()
    await mine.ask_for(size="large")
    await mine.settle()
    assert {each["name"] for each in mine.status["nodes"]} == {"mine-valkey-0", "mine-valkey-2", "mine-valkey-3"}
    assert mine.api.objects["statefulsets", NAMESPACE, "mine-valkey-1"] == stored


class Memory:
    """A part of the process that only knows which storages it has forgotten."""

    def __init__(self) -> None:
        self.forgotten: list[Key] = []

    def forget(self, storage: Key) -> None:
        self.forgotten.append(storage)

    def copies_of(self, storage: Key) -> list[Object]:
        del storage
        return []

    async def carry_out(self, storage: Key, strands: object) -> Failures:
        del storage, strands
        return Failures()


async def test_nothing_is_remembered_of_a_storage_that_is_gone() -> None:
    parts: Any = {name: Memory() for name in ("observer", "applier", "slots", "memory", "metrics", "write_checks")}
    others: Any = {"status": None, "settings": SETTINGS, "clock": lambda: NOW}
    assert await Reconciler(storages=Informer(FakeApi(), SESSION_STORAGES), **parts, **others).reconcile(KEY) is None
    assert [part.forgotten for part in parts.values()] == [[KEY]] * 6
