"""How a prober's verdict is read, relative to the fault, and how it breaks the invariant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chaos.rotating.logins import Logins, logins, steady_places

STRUCK = 100.0
RECOVERED, ENDED = 5.0, 100.0
PLACES = ("service", "instance-0", "instance-1", "instance-2")


def failed(kind: str, *times: float) -> dict[str, Any]:
    return {"place": "instance-0", "kind": kind, "times": [STRUCK + at for at in times]}


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
    assert str(failure) == "2 timeout at instance-0 (-1.5 to 2.0 s)"


def test_a_prober_that_still_runs_has_no_verdict_yet() -> None:
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
            told(failed("timeout", 1.0, 6.1)), ["logins failed outside the fault"], id="cut off after the recovery"
        ),
        pytest.param(told(failed("closed", 0.1, 99.3)), [], id="closed as the former password ends"),
        pytest.param(told(failed("closed", 50.0)), ["logins failed outside the fault"], id="closed for no reason"),
        pytest.param(
            told(failed("timeout", 99.3)), ["logins failed outside the fault"], id="cut off as the former password ends"
        ),
        pytest.param(told(failed("WRONGPASS", 1.0, 2.0)), ["logins refused"], id="a password that must work"),
        pytest.param(told(failed("NOAUTH", 1.0, 2.0)), ["logins refused"], id="a command without a login"),
        pytest.param(told(passwords=1, former={}), ["the password has not changed"], id="nothing was rotated"),
        pytest.param(
            told(newest=dict.fromkeys(PLACES, "accepted") | {"instance-1": "WRONGPASS"}),
            ["the new password does not work everywhere"],
            id="an instance does not know the new one",
        ),
        pytest.param(
            told(newest=dict.fromkeys(PLACES[:3], "accepted")),
            ["the new password does not work everywhere"],
            id="an instance is missing",
        ),
        pytest.param(
            told(former={"instance-2": ["WRONGPASS", "accepted"]}),
            ["the former password is not refused everywhere"],
            id="an instance still accepts the former one",
        ),
    ],
)
def test_a_verdict_lists_how_the_logins_broke_the_invariant(line: str, misses: list[str]) -> None:
    assert list(read(line).misses(RECOVERED, ENDED, instances=3)) == misses


def test_failed_logins_include_the_refused_ones() -> None:
    found = read(told(failed("WRONGPASS", 1, 2, 3), failed("timeout", 1, 2, 3, 4)))
    assert (found.refused, found.failed) == (3, 7)
