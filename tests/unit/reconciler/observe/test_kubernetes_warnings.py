"""Events are asked for, seldom, where no object says why a pod does not exist or start."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.observe.kubernetes_warnings import AGAIN_SECONDS, KubernetesWarnings
from shared import errors
from shared.kubernetes.client import EVERYTHING, Selector
from shared.objects.resources import CORE_EVENTS, Object, Resource
from tests.support.fakes import FakeApi

WORKLOAD: Object = {"metadata": {"name": "s-valkey-0", "namespace": "team", "uid": "u-1"}}
REFUSAL: Object = {
    "metadata": {"name": "e", "namespace": "team"},
    "type": "Warning",
    "reason": "FailedCreate",
    "message": "failed error: no",
    "involvedObject": {"uid": "u-1"},
}


class Api(FakeApi):
    """Answers lists of Events, and keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Selector] = []
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def list_all(self, resource: Resource, selector: Selector = EVERYTHING) -> tuple[list[Object], str]:
        assert resource is CORE_EVENTS
        self.asked.append(selector)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return [REFUSAL], "1"


@pytest.fixture(name="api")
def api_fixture() -> Api:
    return Api()


async def test_the_warnings_about_one_object_are_selected_by_the_api_server(api: Api) -> None:
    found = await KubernetesWarnings(api, lambda: 0.0).about(WORKLOAD)
    assert found is not None
    assert found.message == "Kubernetes refuses the pod of s-valkey-0: no"
    assert api.asked == [Selector("team", fields="involvedObject.uid=u-1,type=Warning")]


async def test_an_answer_counts_for_a_while_however_often_it_is_needed(api: Api) -> None:
    times = iter((0.0, 1.0, AGAIN_SECONDS - 0.1, AGAIN_SECONDS))
    warnings = KubernetesWarnings(api, lambda: next(times))
    answers = [await warnings.about(WORKLOAD) for _ in range(4)]
    assert len(set(answers)) == 1
    assert len(api.asked) == 2


@pytest.mark.parametrize("error", [errors.Unavailable("down"), errors.Forbidden("403")])
async def test_a_pass_goes_on_without_an_explanation(api: Api, error: Exception) -> None:
    api.error = error
    assert await KubernetesWarnings(api, lambda: 0.0).about(WORKLOAD) is None


async def test_a_pass_does_not_wait_for_an_explanation_which_the_next_one_finds(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.observe.kubernetes_warnings.PATIENCE_SECONDS", 0.01)
    warnings = KubernetesWarnings(api, lambda: 0.0)
    api.may_answer.clear()
    assert await warnings.about(WORKLOAD) is None
    api.may_answer.set()
    assert await warnings.about(WORKLOAD) is not None
    assert len(api.asked) == 1
