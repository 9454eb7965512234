"""Whether a cluster gives pods their user ids is asked until the API server answers."""

from __future__ import annotations

import pytest

from reconciler.observe import openshift
from shared import errors
from shared.objects.resources import Object, Resource
from tests.support.fakes import FakeApi


class Answering(FakeApi):
    """Gives these answers, one after the other."""

    def __init__(self, *answers: Object | errors.ClusterError) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self.asked.append((resource.plural, name))
        answer = self.answers.pop(0)
        if isinstance(answer, errors.ClusterError):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answer", "assigns"),
    [({"metadata": {"name": "x"}}, True), (errors.NotFound("404"), False), (errors.Forbidden("403"), False)],
    ids=["openshift", "another cluster", "no right to ask"],
)
async def test_the_cluster_is_openshift_if_it_has_security_context_constraints(
    answer: Object | errors.ClusterError, *, assigns: bool
) -> None:
    api = Answering(answer)
    assert await openshift.assigns_ids(api) is assigns
    assert api.asked == [("customresourcedefinitions", "securitycontextconstraints.security.openshift.io")]


async def test_no_answer_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openshift, "PAUSE_SECONDS", 0)
    api = Answering(errors.NoAnswer("away"), errors.Unavailable("busy"), {"metadata": {}})
    assert await openshift.assigns_ids(api)
    assert api.answers == []
