from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from deploy.levels import __main__ as runner
from deploy.levels import catalogue
from deploy.levels.level import Level, Outcome, budgets, closing, recorded
from deploy.local.paths import REPOSITORY

GOAL_SECONDS = 60 * 60
"""The lines that `make test` prints on two processors, once everything is built."""
BUDGETS = budgets((REPOSITORY / "CONTRIBUTING.md").read_text())


def test_contributing_has_a_budget_for_each_level_and_for_no_other() -> None:
    assert BUDGETS.keys() == catalogue.LEVELS.keys()


def test_a_run_in_which_every_level_keeps_to_its_budget_has_room() -> None:
    built = {**BUDGETS, "builds": 0, "test-builds": 0}
    stages = (max(sum(built[level.name] for level in lane) for lane in stage) for stage in catalogue.STAGES)
    assert sum(stages) <= GOAL_SECONDS


def test_a_level_over_its_budget_is_warned_of_and_fails_nothing() -> None:
    outcomes = [Outcome("unit", 71.2, passed=True), Outcome("e2e", 3.0, passed=True)]
    assert list(closing(outcomes, {"unit": 70, "e2e": 600})) == [
        "unit             71 of    70 s",
        "e2e               3 of   600 s",
        "warning: unit is over its budget: see the table in CONTRIBUTING.md",
        "every level passed",
    ]


def test_failed_levels_are_named_at_the_end() -> None:
    outcomes = [Outcome("unit", 1, passed=False), Outcome("e2e", 1, passed=True), Outcome("demo", 1, passed=False)]
    assert list(closing(outcomes, {}))[-1] == "failed: unit demo"


def test_the_measured_times_are_written_into_the_table() -> None:
    table = (
        "| level | what | budget, s | last, s |\n|---|---|---|---|\n| unit | a `b` | 70 | |\n| e2e | c | 900 | 41 |\n"
    )
    outcomes = [Outcome("unit", 61.6, passed=True), Outcome("e2e", 3.0, passed=False)]
    assert recorded(table, outcomes) == table.replace("| 70 | |", "| 70 | 62 |")


def says(name: str, *steps: str, status: int = 0) -> Level:
    return Level(name, (sys.executable, "-c", f"import pathlib, sys, time; {'; '.join(steps)}; sys.exit({status})"))


def waits_for(path: Path) -> str:
    return f"any(time.sleep(0.01) for _ in iter(lambda: pathlib.Path({str(path)!r}).exists(), True))"


def test_lanes_run_in_parallel_and_their_output_does_not_mix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each lane waits for the other: one after the other, they would never end."""
    monkeypatch.setattr(runner, "LOGS", tmp_path)
    one, other = tmp_path / "one", tmp_path / "other"
    lanes = [
        [says("a", "print('a1')", f"pathlib.Path({str(one)!r}).touch()", waits_for(other), "print('a2')", status=3)],
        [says("b", waits_for(one), "print('b')", f"pathlib.Path({str(other)!r}).touch()"), says("c", "print('c')")],
    ]
    outcomes = asyncio.run(runner.run_stages([lanes]))
    assert [(outcome.level, outcome.passed) for outcome in outcomes] == [("a", False), ("b", True), ("c", True)]
    said = capsys.readouterr().out
    assert "a1\na2\n" in said
