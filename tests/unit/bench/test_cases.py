from __future__ import annotations

import orjson
import pytest

from shared.consumers.targets import Target
from tests.bench.answers import meaning
from tests.bench.cases import EXPECTED, NAME, SIZES_KB, STORAGES, Case, cases
from tests.bench.reviews import check
from tests.bench.servers import CONTROLLER_RUNTIME, OURS
from webhook.admission import consumers, review

CASES = list(cases())


def answer(case: Case) -> bytes:
    asked = review.parse(case.body)
    return review.render(asked.uid, consumers.decide(consumers.ConsumerWrite.of(asked), STORAGES, Target.ALL))


def test_there_is_a_case_of_each_kind_in_each_size() -> None:
    assert [(case.size_kb, case.kind) for case in CASES] == [(size, kind) for size in SIZES_KB for kind in EXPECTED]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_is_about_as_long_as_it_says(case: Case) -> None:
    # A connected server and its predecessor do not fit into 2 kB.
    assert len(case.body) == pytest.approx(case.size_kb * 1000, rel=0.05) or case.name == "update-2kb"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_is_decided_as_expected_and_without_a_warning(case: Case) -> None:
    assert meaning(case, answer(case)).verdict == case.expected
    assert "warnings" not in orjson.loads(answer(case))["response"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_name_that_the_client_changes_is_in_every_request(case: Case) -> None:
    assert case.body.count(NAME.encode()) >= 2


def test_servers_whose_answers_have_different_effects_are_not_measured() -> None:
    create, update = CASES[0], CASES[1]
    check(create, {OURS: answer(create), CONTROLLER_RUNTIME: answer(create)})
    with pytest.raises(AssertionError, match="allowed"):
        check(create, {OURS: answer(create), CONTROLLER_RUNTIME: review.render(asked_uid(create), review.Allow())})
    unlike = review.render(asked_uid(create), review.Patch([{"op": "add", "path": "/spec/image", "value": "other"}]))
    with pytest.raises(AssertionError, match="another object"):
        check(create, {OURS: answer(create), CONTROLLER_RUNTIME: unlike})
    check(update, {OURS: answer(update)})


def asked_uid(case: Case) -> str:
    return review.parse(case.body).uid
