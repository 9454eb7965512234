"""A prober's account is related to the fault, and held against what is wanted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chaos.rotating.logins import Logins, logins, steady_places

STRUCK = 100.0
RECOVERED, ENDED = 5.0, 100.0
PLACES = ("service", "node-0", "node-1", "node-2")


def failed(kind: str, *times: float) -> dict[str, Any]:
    return {"place": "node-0", "kind": kind, "times": [STRUCK + at for at in times]}


def told(*failures: dict[str, Any], **changed: Any) -> str:
    newest, former = dict.fromkeys(PLACES, "accepted"), {place: ["WRONGPASS"] for place in PLACES}
    return json.dumps(
        {"logins": 900, "failures": failures, "passwords": 2, "newest": newest, "former": former} | changed
    )


def read(line: str) -> Logins:
    found = logins(['{"logins": 20, "steady": 4}', line], STRUCK)
    assert found is not None
    return found


def test_times_count_from_the_fault() -> None:
    (failure,) = read(told(failed("timeout", -1.5, 2.0))).failures
    assert failure.times == pytest.approx((-1.5, 2.0))
    assert str(failure) == "2 timeout at node-0 (-1.5 to 2.0 s)"


def test_a_prober_that_goes_on_has_no_verdict_yet() -> None:
    lines = ['{"logins": 20, "steady": 3}', '{"logins": 40, "steady": 4}']
    assert logins(lines, STRUCK) is None
    assert steady_places(lines) == 4
    assert steady_places(["Traceback (most recent call last):"]) == 0


@pytest.mark.parametrize(
    ("line", "misses"),
    [
        pytest.param(told(), [], id="all is well"),
        pytest.param(told(failed("refused", 0.1, 5.9)), [], id="cut off while the fault lasts"),
        pytest.param(
            told(failed("refused", -0.1, 1.0)), ["logins failed outside the fault"], id="cut off before the fault"
        ),
        pytest.param(
            told(failed("timeout", 1.0, 6.1)), ["logins failed outside the fault"], id="cut off when all has recovered"
        ),
        pytest.param(told(failed("closed", 0.1, 99.3)), [], id="closed as the former password ends"),
        pytest.param(told(failed("closed", 50.0)), ["logins failed outside the fault"], id="closed for no reason"),
        pytest.param(
            told(failed("timeout", 99.3)), ["logins failed outside the fault"], id="cut off as the former password ends"
        ),
        pytest.param(told(failed("WRONGPASS", 1.0, 2.0)), ["logins refused"], id="a password that should get in"),
        pytest.param(told(failed("NOAUTH", 1.0, 2.0)), ["logins refused"], id="a login that is none"),
        pytest.param(told(passwords=1, former={}), ["the password has not changed"], id="nothing was rotated"),
        pytest.param(
            told(newest=dict.fromkeys(PLACES, "accepted") | {"node-1": "WRONGPASS"}),
            ["the new password does not get in everywhere"],
            id="a node has not heard of it",
        ),
        pytest.param(
            told(newest=dict.fromkeys(PLACES[:3], "accepted")),
            ["the new password does not get in everywhere"],
            id="a node is not there",
        ),
        pytest.param(
            told(former={"node-2": ["WRONGPASS", "accepted"]}),
            ["the former password is not refused everywhere"],
            id="a node remembers the former one",
        ),
    ],
)
def test_what_must_not_be_is_named(line: str, misses: list[str]) -> None:
    assert list(read(line).misses(RECOVERED, ENDED, instances=3)) == misses


def test_refused_logins_are_counted_among_the_failed_ones() -> None:
    found = read(told(failed("WRONGPASS", 1, 2, 3), failed("timeout", 1, 2, 3, 4)))
    assert (found.refused, found.failed) == (3, 7)
