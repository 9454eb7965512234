"""Summaries of runs, and whether they meet their targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from tests.chaos.figures import SessionUse, Summary, Target, Trial, seconds, summaries
from tests.chaos.verdicts import Gap, Verdict

NOTHING: Mapping[str, int] = MappingProxyType({})


IMPATIENT = Verdict(1100, (), (Gap(0, 9.0, {}),), {"refused": 7}, "master")


def trial(gap: float = 0.1, lost: tuple[float, ...] = (), errors: Mapping[str, int] = NOTHING) -> Trial:
    verdict = Verdict(1000, lost, (Gap(0, gap, {}),), errors, "master")
    return Trial("sigkill", "large", 3.0, verdict, IMPATIENT, SessionUse(3, 0, 20, 1, 0.25))


@pytest.mark.parametrize(
    ("trials", "target", "misses"),
    [
        pytest.param([trial(0.2), trial(0.3), trial(1.2)], Target(0.3, 1.2), [], id="all is well"),
        pytest.param([trial(0.2), trial(0.31), trial(1.0)], Target(0.3, 1.2), ["median gap"], id="median"),
        pytest.param([trial(0.2), trial(0.3), trial(1.3)], Target(0.3, 1.2), ["worst gap"], id="worst"),
        pytest.param([trial(9.0)], Target(), [], id="no bound"),
        pytest.param([trial(lost=(0.1,))], Target(), ["writes lost"], id="lost"),
        pytest.param([trial(lost=(0.1, 3.9))], Target(fence=4), [], id="lost within the fence"),
        pytest.param([trial(lost=(4.1,))], Target(fence=4), ["writes lost"], id="lost after the fence"),
        pytest.param([trial(lost=(-0.1,))], Target(fence=4), ["writes lost"], id="lost before the fault"),
        pytest.param([trial(errors={"closed": 1})], Target(is_quiet=True), [], id="one reconnect"),
        pytest.param([trial(errors={"closed": 2})], Target(is_quiet=True), ["errors at the client"], id="two"),
        pytest.param([trial(errors={"closed": 2})], Target(), [], id="errors do not matter"),
        pytest.param([replace(trial(), use=SessionUse(3, 1))], Target(), ["sessions lost"], id="sessions"),
        pytest.param([trial()], Target(spares_calls=True), ["MCP calls failed"], id="calls"),
        pytest.param([replace(trial(), use=SessionUse(3, 0, 20))], Target(spares_calls=True), [], id="no failed call"),
        pytest.param(
            [replace(trial(), impatient=replace(IMPATIENT, lost=(0.1,)))],
            Target(1.0, 1.0),
            ["writes lost"],
            id="the impatient client counts for losses alone",
        ),
        pytest.param(
            [trial(), Trial("sigkill", "large", problem="not recovered")],
            Target(),
            ["1 of 2 runs without a verdict"],
            id="one failed",
        ),
        pytest.param(
            [Trial("sigkill", "large", problem="not recovered")],
            Target(0.3),
            ["1 of 1 runs without a verdict"],
            id="all failed",
        ),
    ],
)
def test_a_summary_lists_what_the_runs_missed_of_a_target(
    trials: list[Trial], target: Target, misses: list[str]
) -> None:
    assert Summary(trials).misses(target) == misses


def test_runs_of_one_fault_on_one_size_are_together() -> None:
    small, large = Trial("drain", "small"), Trial("drain", "large")
    assert {key: list(found.trials) for key, found in summaries([small, large, small]).items()} == {
        ("drain", "small"): [small, small],
        ("drain", "large"): [large],
    }


def test_a_run_is_told_in_one_line() -> None:
    told = str(trial(0.2345, (0.5,), {"closed": 1, "refused": 4}))
    assert told == (
        "sigkill (large); go-redis: gap 0.234 s, lost 1 of 1000, 1 closed, 4 refused; impatient: gap 9.00 s, lost 0 of"
        " 1100, 7 refused; sessions lost 0 of 3, MCP calls failed 1 of 20, the slowest took 0.250 s;"
        " recovered after 3.0 s"
    )
    assert str(Trial("drain", "small", problem="not recovered")).endswith("FAILED: not recovered")


def test_a_target_says_what_it_wants() -> None:
    assert str(Target(0.12, 0.4, is_quiet=True)) == "≤ 0.12 s median, ≤ 0.4 s worst, 0 lost, one reconnect"
    assert str(Target(0.15, 0.5, spares_calls=True)).endswith("0 lost, no failed MCP call")
    assert str(Target(worst=5, fence=4)) == "≤ 5 s worst, lost only within 4 s"


@pytest.mark.parametrize(("value", "text"), [(0.0614, "0.061"), (1.2345, "1.23"), (24.2, "24.20")])
def test_seconds_below_one_have_milliseconds(value: float, text: str) -> None:
    assert seconds(value) == text
