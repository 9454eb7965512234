"""How a writer's verdict is read, relative to the fault."""

from __future__ import annotations

import json

import pytest

from tests.chaos.verdicts import Verdict, acknowledged, verdict

STRUCK = 100.0
TOLD = {
    "acked": 900,
    "role": "master",
    "lost": [100.2, 99.9],
    "gaps": [
        {"begun": 90.0, "seconds": 5.0, "errors": {}},
        {"begun": 100.1, "seconds": 0.25, "errors": {"closed": 1}},
    ],
    "errors": {"closed": 1},
}
LINES = ['{"acked": 300}', '{"acked": 600}', json.dumps(TOLD)]


def test_times_count_from_the_fault() -> None:
    found = verdict(LINES, STRUCK)
    assert found is not None
    assert found.lost == pytest.approx((-0.1, 0.2))
    assert found.gap.begun == pytest.approx(0.1)
    assert (found.acked, found.role, found.errors) == (900, "master", {"closed": 1})


def test_a_gap_that_ended_before_the_fault_does_not_count() -> None:
    found = verdict(LINES, STRUCK)
    assert found is not None
    assert found.gap.seconds == 0.25


def test_a_writer_that_still_runs_has_no_verdict_yet() -> None:
    assert verdict(LINES[:2], STRUCK) is None
    assert acknowledged(LINES[:2]) == 600
    assert acknowledged([]) == 0


def test_lines_that_are_not_the_writers_are_ignored() -> None:
    assert acknowledged(["Traceback (most recent call last):"]) == 0
    assert verdict(["no verdict within 60 s: timeout"], STRUCK) is None


@pytest.mark.parametrize("errors", [{}, {"closed": 1}])
def test_one_reconnect_is_one_closed_connection_at_most(errors: dict[str, int]) -> None:
    assert Verdict(1, (), (), errors, "master").is_one_reconnect


@pytest.mark.parametrize("errors", [{"closed": 2}, {"refused": 1}, {"closed": 1, "READONLY": 1}])
def test_any_other_error_is_more_than_one_reconnect(errors: dict[str, int]) -> None:
    assert not Verdict(1, (), (), errors, "master").is_one_reconnect
