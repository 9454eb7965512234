"""Rotations on an API server and instances in memory; tests/property/test_rotation.py adds faults."""

from __future__ import annotations

import itertools

import pytest

from reconciler.rotation.rotation_plan import FOLLOWING_SECONDS, PUBLISHED_WITHIN, PUBLISHING_SECONDS, WAITING_SECONDS
from reconciler.state.write_outcome import RETRY
from shared import errors, names
from shared.objects.resources import MCP_SERVERS, SESSION_STORAGES
from shared.session_storage.sizes import Size
from tests.support.drill import Drill, assert_gone, passwords
from tests.support.simulated import KEY, NAMESPACE, OURS, SETTINGS


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


async def test_each_value_rotates_once_and_requests_during_a_rotation_cause_one_more(drill: Drill) -> None:
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


async def test_a_consumer_created_while_others_restart_restarts_too(drill: Drill) -> None:
    old = passwords(drill)
    await drill.ask("one")
    await drill.until(lambda: drill.phase == "AwaitConsumers")
    await drill.toolhive.serve("late", NAMESPACE, "mine")
    await drill.finish("one")
    assert passwords(drill)["password"] != old["password"]
    assert {holder.password for holder in drill.toolhive.holders} == {passwords(drill)["password"]}
    assert drill.simulation.status["rotation"]["consumersTotal"] == 3


async def test_a_consumer_created_before_the_new_password_is_handed_out_restarts_too(drill: Drill) -> None:
    await drill.ask("one")
    await drill.until(lambda: drill.phase == "Pending")
    await drill.toolhive.serve("early", NAMESPACE, "mine")
    await drill.toolhive.settle()
    await drill.finish("one")
    assert {holder.password for holder in drill.toolhive.holders} == {passwords(drill)["password"]}


async def test_a_consumer_deleted_while_it_restarts_is_no_longer_waited_for(drill: Drill) -> None:
    await drill.ask("one")
    await drill.until(lambda: drill.phase == "AwaitConsumers")
    drill.toolhive.is_idle = True
    await drill.step()
    await drill.simulation.api.delete(MCP_SERVERS, NAMESPACE, "near")
    for holder in [each for each in drill.toolhive.holders if each.pod["metadata"]["namespace"] == NAMESPACE]:
        await drill.toolhive.end(holder)
    drill.toolhive.is_idle = False
    await drill.finish("one")
    assert drill.simulation.status["rotation"]["consumersTotal"] == 1


async def test_the_rotation_waits_for_a_consumer_that_cannot_restart_until_it_is_forced(drill: Drill) -> None:
    old = passwords(drill)
    drill.toolhive.is_idle = True
    await drill.ask("one")
    for _ in range(30):
        await drill.step()
    assert drill.phase == "AwaitConsumers"
    assert drill.instance.accepts("default", old["password"])
    revision = drill.simulation.status["rotation"]["revision"]
    forced = {"metadata": {"annotations": {names.ANNOTATION_ROTATE_FORCE: revision}}}
    await drill.simulation.edit(SESSION_STORAGES, KEY[1], forced)
    drill.toolhive.holders.clear()  # a consumer left behind is refused, as the user asked for
    await drill.until(lambda: drill.phase == "Discarded")
    assert not drill.instance.accepts("default", old["password"])


async def test_a_consumer_that_cannot_be_written_is_named_and_delays_no_other(drill: Drill) -> None:
    refuse = drill.simulation.api.refuse
    drill.simulation.api.refuse = lambda call: (
        errors.Forbidden("403 a policy says no") if call == "patch mcpservers/far" else refuse(call)
    )
    await drill.ask("one")
    await drill.until(lambda: drill.simulation.status.get("rotation", {}).get("consumersDone") == 1)
    condition = {item["type"]: item for item in drill.simulation.status["conditions"]}["CredentialRotated"]
    assert condition["reason"] == "ConsumersWait"
    assert "MCPServer elsewhere/far: the API server refused to stamp it: 403 a policy says no" in condition["message"]
    assert drill.simulation.status["phase"] == "Rotating"


async def test_a_storage_that_waits_for_a_person_is_reconciled_less_often(drill: Drill) -> None:
    await drill.ask("one")
    await drill.until(lambda: drill.phase == "AwaitConsumers")
    drill.toolhive.is_idle = True
    for _ in range(3):
        await drill.step()
    _, soon = await drill.simulation.decide()
    patience = SETTINGS.rotation.patience
    one_is_stuck = await drill.simulation.decide(later=patience)
    await drill.simulation.carry_out(*one_is_stuck)
    await drill.simulation.look()
    _, both_are_stuck = await drill.simulation.decide(later=2 * patience)
    pauses = [each.requeue_after_seconds for each in (soon, one_is_stuck[1], both_are_stuck)]
    assert pauses == [FOLLOWING_SECONDS, FOLLOWING_SECONDS, WAITING_SECONDS]


async def test_a_connection_that_cannot_be_written_is_tried_less_often_and_no_consumer_restarts(drill: Drill) -> None:
    refuse = drill.simulation.api.refuse
    drill.simulation.api.refuse = lambda call: (
        errors.Forbidden("403 exceeded quota") if call == "replace secrets/mine-connection" else refuse(call)
    )
    await drill.ask("one")
    await drill.until(lambda: drill.phase == "Published")
    await drill.step()
    await drill.simulation.look()
    _, soon = await drill.simulation.decide()
    _, later = await drill.simulation.decide(later=PUBLISHED_WITHIN)
    assert (soon.requeue_after_seconds, later.requeue_after_seconds) == (PUBLISHING_SECONDS, WAITING_SECONDS)
    assert drill.phase == "Published"
    drill.simulation.api.refuse = refuse
    drill.simulation.passed += RETRY
    await drill.finish("one")


async def test_replicas_are_told_the_new_password_at_once_whether_they_have_a_link_or_not() -> None:
    drill = Drill()
    await drill.start(Size.LARGE)
    await drill.ask("one")
    await drill.until(lambda: drill.phase == "Added")  # and the new passwords are the present ones by now
    drill.simulation.without_dns = {1}  # so that this one has no link
    await drill.step()
    password = passwords(drill)["replication-password"]
    told = [instance.history.password for instance in drill.simulation.valkey.instances.values()]
    assert told == [password] * 3


async def test_an_instance_that_does_not_answer_is_named_and_former_passwords_are_kept_for_it(drill: Drill) -> None:
    old = passwords(drill)
    await drill.ask("one")
    await drill.until(lambda: drill.phase == "AwaitConsumers")
    drill.simulation.cuts.add(frozenset({0, OURS}))
    for _ in range(30):
        await drill.step()
    condition = {item["type"]: item for item in drill.simulation.status["conditions"]}["CredentialRotated"]
    assert condition["reason"] == "AwaitConsumers"
    assert condition["message"].endswith(
        "discards the former one once every instance knows the present one: waiting for mine-valkey-0, which does not"
        " answer"
    )
    assert drill.instance.accepts("default", old["password"])
    drill.simulation.cuts.clear()
    await drill.finish("one")
    assert_gone(drill, old)


async def test_a_scheduled_rotation_begins_by_itself_and_not_again_before_its_time(drill: Drill) -> None:
    old = passwords(drill)
    await drill.simulation.edit(SESSION_STORAGES, KEY[1], {"spec": {"rotation": {"every": "1h"}}})
    await drill.until(lambda: drill.phase == "Discarded")  # the Secret was created long ago
    for _ in range(3):
        await drill.step()
    with drill.simulation.quiet():
        await drill.step()
    assert_gone(drill, old)
