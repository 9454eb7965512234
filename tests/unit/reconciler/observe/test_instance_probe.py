"""What the probe makes of servers that die or hang up while it asks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.credentials.login import Login
from reconciler.observe import instance_probe
from reconciler.state.instance import Instance, InstanceFacts
from reconciler.valkey import users
from shared import errors
from tests.support.storages import RING, pod

FACTS = InstanceFacts(role="slave", is_loading=False)


@pytest.fixture(name="answers")
def answers_fixture(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the server give these answers, the last one from then on."""

    def give(*answers: InstanceFacts | Exception) -> None:
        left = list(answers)

        async def observe(*_: Any) -> InstanceFacts:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(users, "observe", observe)

    return give


@pytest.mark.parametrize("hang_ups", [1, 2, 3])
async def test_a_server_that_dies_while_it_is_asked_is_down(answers: Callable[..., None], hang_ups: int) -> None:
    """Otherwise a failover would wait until the fence of a primary closes that is dead."""
    answers(*[errors.StoreHungUp("closed")] * hang_ups, errors.StoreDown("refused"))
    assert (await instance_probe.probe(Instance(0, pod()), RING)).problem == "down"


async def test_a_server_that_hangs_up_and_is_there_is_asked_again(answers: Callable[..., None]) -> None:
    answers(errors.StoreHungUp("closed"), FACTS)
    assert (await instance_probe.probe(Instance(0, pod()), RING)).facts == FACTS


async def test_a_server_that_hangs_up_again_and_again_is_unreachable(answers: Callable[..., None]) -> None:
    answers(errors.StoreHungUp("closed"))
    assert (await instance_probe.probe(Instance(0, pod()), RING)).problem == "unreachable"


@pytest.mark.parametrize(("silent_for", "expected"), [(0.0, False), (1.0, False), (2.0, True)])
async def test_whether_a_silent_instance_lives_does_not_rest_on_a_session_that_may_be_cut_as_well(
    silent_for: float, *, expected: bool
) -> None:
    asked = []

    async def ask(host: str, port: int, login: Login, *, is_full: bool) -> InstanceFacts:
        del host, port, login
        asked.append(is_full)
        return FACTS

    await instance_probe.probe(Instance(0, pod(), silent_for=silent_for), RING, ask)
    assert asked == [expected]


LEADS = InstanceFacts(role="master", is_loading=False)
NO_SPACE = "MISCONF Errors writing to the AOF file: No space left on device"


def erred(reply: str) -> errors.StoreErred:
    return errors.StoreErred(f"10.1.0.1:6379 as default: {reply}", reply)


@pytest.fixture(name="pinged")
def pinged_fixture(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Have the server answer a consumer's PING with an error."""

    def give(error: Exception) -> None:
        async def ping(*_: Any) -> None:
            raise error

        monkeypatch.setattr(users, "ping", ping)

    return give


async def test_a_primary_that_answers_consumers_with_an_error_keeps_what_it_said_before(
    answers: Callable[..., None], pinged: Callable[[Exception], None]
) -> None:
    """Otherwise nobody learns the reason, and nothing can take over in good order."""
    answers(LEADS)
    pinged(erred(NO_SPACE))
    seen = await instance_probe.probe(Instance(0, pod()), RING)
    assert (seen.facts, seen.problem, seen.detail) == (LEADS, "failing", NO_SPACE)
    assert seen.operator.user == "operator", "the reconciler can still tell it what to do"


async def test_a_server_that_a_script_keeps_busy_says_nothing_else(answers: Callable[..., None]) -> None:
    answers(erred("BUSY Valkey is busy running a script."))
    seen = await instance_probe.probe(Instance(0, pod(), silent_for=3.0), RING)
    assert (seen.facts, seen.problem, seen.silent_for, seen.operator.user) == (None, "busy", 0.0, "operator")


async def test_a_script_that_begins_between_two_questions_is_seen_as_well(
    answers: Callable[..., None], pinged: Callable[[Exception], None]
) -> None:
    answers(LEADS)
    pinged(erred("BUSY Valkey is busy running a script."))
    assert (await instance_probe.probe(Instance(0, pod()), RING)).problem == "busy"


async def test_another_error_than_these_says_that_the_server_cannot_be_asked(answers: Callable[..., None]) -> None:
    answers(erred("ERR unknown command"))
    assert (await instance_probe.probe(Instance(0, pod()), RING)).problem == "unreachable"


async def test_a_primary_that_is_out_of_memory_fails_its_clients_although_it_answers_a_ping(
    answers: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ping(*_: Any) -> None:
        return None

    monkeypatch.setattr(users, "ping", ping)
    answers(InstanceFacts(role="master", is_loading=False, is_out_of_memory=True))
    seen = await instance_probe.probe(Instance(0, pod()), RING)
    assert (seen.problem, seen.detail.partition(" ")[0]) == ("failing", "OOM")
