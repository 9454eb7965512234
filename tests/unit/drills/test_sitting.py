"""Which drills run on which cluster; one test starts a pytest of its own (2 s)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy.local.profile import PROFILES
from tests.drills import sitting
from tests.drills.__main__ import ALL, sittings
from tests.drills.sitting import Outcome, Sitting

if TYPE_CHECKING:
    from pathlib import Path

TESTS = ("tests/somewhere",)
DRILLED = Outcome(0, ())


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Record what a sitting does in place of doing it."""
    done: list[tuple[str, ...]] = []

    def local(*command: str) -> int:
        done.append(command)
        return 0

    def in_own_process(tests: tuple[str, ...]) -> Outcome:
        done.append(tests)
        return DRILLED

    monkeypatch.setattr(sitting, "local", local)
    monkeypatch.setattr(sitting, "in_own_process", in_own_process)
    return done


def test_all_drills_are_those_of_the_cluster_that_there_is_and_of_an_awkward_one() -> None:
    assert sittings([], is_local=True) == ALL
    assert [each.profile for each in ALL] == ["", "awkward"]
    assert {each.profile for each in ALL} - {""} <= PROFILES.keys()


def test_another_cluster_is_not_made_awkward() -> None:
    assert [each.profile for each in sittings([], is_local=False)] == [""]


def test_given_tests_run_on_the_cluster_that_there_is() -> None:
    assert sittings([*TESTS], is_local=True) == (Sitting(TESTS),)


def test_what_needs_no_profile_of_its_own_leaves_the_cluster_alone(done: list[tuple[str, ...]]) -> None:
    assert Sitting(TESTS).run() == DRILLED
    assert done == [TESTS]


def test_a_cluster_is_brought_up_for_drills_and_taken_down_after_them(done: list[tuple[str, ...]]) -> None:
    assert Sitting(TESTS, "awkward").run() == DRILLED
    assert done == [("down",), ("up", "--profile", "awkward"), TESTS, ("down",)]


def test_drills_do_not_run_on_a_cluster_that_did_not_come_up(
    done: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sitting, "local", lambda *command: int("up" in command))
    assert Sitting(TESTS, "awkward").run() == Outcome(1, ())
    assert done == []


def test_what_a_drill_measured_comes_back_from_its_own_process(tmp_path: Path) -> None:
    file = tmp_path / "test_small.py"
    file.write_text(
        "import pytest\n\n@pytest.mark.drill\ndef test_all_is_well(figures):\n    figures.append('3 of 3')\n"
        "\ndef test_of_another_level():\n    assert False\n"
    )
    outcome = sitting.in_own_process(("-p", "tests.conftest", str(file)))
    (drill,) = outcome.drills
    assert (outcome.status, drill.sentence, drill.passed, drill.figures) == (0, "All is well", True, ("3 of 3",))
