"""What the probe makes of servers that die or hang up while it asks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
