"""Rotations on an API server and nodes in memory; tests/property/test_rotation.py has what goes wrong."""

from __future__ import annotations

import itertools

import pytest

from shared import names
from shared.resources import SESSION_STORAGES
from tests.drill import Drill, assert_gone, passwords
from tests.simulated import KEY, NAMESPACE


@pytest.fixture(name="drill")
async def drill_fixture() -> Drill:
    drill = Drill()
    await drill.start()
    return drill


async def test_a_rotation_changes_every_password_and_leaves_nothing_of_the_old_ones(drill: Drill) -> None:
    old = passwords(drill)
    seen: list[str | None] = []
    await drill.ask("one")
    while not drill.is_over("one"):
        await drill.step()
        seen.append(drill.phase)
    await drill.finish("one")
    assert_gone(drill, old)
    phases = [phase for phase, _ in itertools.groupby(seen)]
    assert phases == ["Pending", "Added", "Published", "AwaitConsumers", "Discarding", "Discarded"] or phases[0] is None
    assert drill.simulation.status["rotation"] | {"since": "", "revision": ""} == {
        "phase": "Discarded",
        "since": "",
        "revision": "",
        "consumersDone": 2,
        "consumersTotal": 2,
    }
    assert drill.simulation.status["phase"] == "Ready"
    told = drill.simulation.events
    assert told[told.index("Pending") :].count("ConsumersWait") == 0
    assert told[-1] in {"Discarded", "StorageReady"}


async def test_the_storage_is_ready_all_the_time_and_says_that_it_rotates(drill: Drill) -> None:
    await drill.ask("one")
    await drill.step()
    while not drill.is_over("one"):
        await drill.step()
        ready = {item["type"]: item["status"] for item in drill.simulation.status["conditions"]}
        assert ready["Ready"] == "True"
        assert drill.simulation.status["phase"] in {"Rotating", "Ready"}


async def test_each_value_rotates_once_and_what_is_asked_meanwhile_comes_to_one_more(drill: Drill) -> None:
    await drill.ask("one")
    await drill.until(lambda: drill.phase == "AwaitConsumers")
    first = passwords(drill)
    await drill.ask("two")
    await drill.ask("three")
    await drill.finish("three")
    assert_gone(drill, first)
    assert drill.effects.count("replace secrets/mine-auth") == 8
    await drill.ask("three")
    with drill.simulation.quiet():
        await drill.step()


async def test_a_new_storage_with_the_annotation_is_not_rotated_at_once() -> None:
    drill = Drill()
    metadata = {"name": KEY[1], "namespace": NAMESPACE, "annotations": {names.ANNOTATION_ROTATE: "before"}}
    await drill.simulation.api.create(SESSION_STORAGES, {"metadata": metadata, "spec": {"size": "small"}})
    await drill.simulation.settle()
    assert "rotation" not in drill.simulation.status
    await drill.ask("after")
    await drill.finish("after")
