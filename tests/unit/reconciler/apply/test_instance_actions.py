"""What the reconciler does to instances, and what it remembers of it."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.actions.valkey import EndScript
from reconciler.apply.instance_actions import InstanceActions
from reconciler.state.instance import Instance
from reconciler.valkey import users
from tests.support.fakes import FakeApi
from tests.support.storages import OPERATOR, pod


@pytest.mark.parametrize("ends", [True, False])
async def test_a_script_that_valkey_refuses_to_end_is_remembered(
    monkeypatch: pytest.MonkeyPatch, *, ends: bool
) -> None:
    asked, endless = list[Any](), list[Instance]()

    async def end_script(*endpoint: Any) -> bool:
        asked.append(endpoint)
        return ends

    monkeypatch.setattr(users, "end_script", end_script)
    api = FakeApi()
    busy = Instance(0, pod(), problem="busy", operator=OPERATOR)
    await InstanceActions(api, {}, api.clock.now, endless.append).carry_out(EndScript(busy))
    assert asked == [("10.1.0.1", 6379, OPERATOR)]
    assert endless == ([] if ends else [busy])
