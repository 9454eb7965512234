from __future__ import annotations

from datetime import date

from tests.drills.report import Drill, page, tally

ROTATIONS = Drill(
    "tests/a/test_b.py::test_rotations_in_a_row[100]", 251.4, passed=True, figures=("100 rotations", "x|y")
)
FAILED = Drill("tests/a/test_b.py::test_all_is_well", 3, passed=False, figures=())


def test_a_drill_is_called_by_the_promise_that_it_tries() -> None:
    assert (ROTATIONS.sentence, FAILED.sentence) == ("Rotations in a row (100)", "All is well")


def test_the_tally_counts_what_passed() -> None:
    assert tally([ROTATIONS, FAILED]) == "1 of 2 drills passed, in 254 s"


def test_the_page_has_a_row_for_each_drill_and_says_which_failed() -> None:
    written = page([ROTATIONS, FAILED], date(2026, 11, 30), 2)
    assert "Last run: 30 November 2026, on 2 processors: 1 of 2 drills passed, in 254 s." in written
    assert "| Rotations in a row (100) | 100 rotations; x\\|y | 251 |\n" in written
    assert written.endswith("| All is well | **failed** | 3 |\n")
