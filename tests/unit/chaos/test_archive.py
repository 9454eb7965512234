"""The archive keeps every run, so that a later measurement can replace some of them."""

from __future__ import annotations

import json

import pytest

from shared.session_storage.sizes import Size
from tests.chaos.archive import OtherFormat, dump, load, merged
from tests.chaos.figures import SessionUse, Trial
from tests.chaos.floor import Floor
from tests.chaos.report import Measured
from tests.chaos.verdicts import Gap, Verdict

VERDICT = Verdict(1000, (0.5,), (Gap(-9.0, 3.0, {}), Gap(0.1, 0.2, {"closed": 1})), {"closed": 1}, "master")
IMPATIENT = Verdict(1100, (), (Gap(0.1, 0.15, {}),), {}, "master")
KILLED = Trial("sigkill", "large", 2.0, VERDICT, IMPATIENT, SessionUse(3, 0, 20, 1, 0.2), date="2026-11-25")
FAILED = Trial("drain", "small", problem="not so after 180 s", date="2026-11-25")
BEFORE = Measured([FAILED, KILLED], {Size.LARGE: [7.0, 8.0]}, Floor((0.04, 0.05), (0.06,)), "9.1.2")


def test_runs_are_read_as_they_were_written_but_for_gaps_that_do_not_count() -> None:
    failed, killed = load(dump(BEFORE)).trials
    assert failed == FAILED
    assert killed.verdict is not None
    assert (killed.verdict.gap, killed.verdict.gaps) == (VERDICT.gap, (VERDICT.gap,))
    assert (killed.verdict.lost, killed.use, killed.date) == (VERDICT.lost, KILLED.use, KILLED.date)
    assert killed.impatient == IMPATIENT


def test_an_archive_of_another_format_is_not_taken_for_one_of_this_format() -> None:
    content = json.loads(dump(BEFORE))
    del content["format"]
    with pytest.raises(OtherFormat):
        load(json.dumps(content))


def test_all_else_is_read_as_it_was_written() -> None:
    found = load(dump(BEFORE))
    assert (found.made, found.floor, found.valkey) == (BEFORE.made, BEFORE.floor, BEFORE.valkey)


def test_new_runs_of_a_fault_replace_only_its_former_runs_on_the_same_size() -> None:
    again = [Trial("sigkill", "large", 1.0, date="2026-11-29"), Trial("drain", "large", 1.0, date="2026-11-29")]
    found = merged(BEFORE, Measured(again, {}, Floor((0.06,), (0.07,)), "9.1.3"))
    assert list(found.trials) == [FAILED, *again]
    assert (found.floor, found.valkey) == (Floor((0.06,), (0.07,)), "9.1.3")


def test_one_new_storage_does_not_replace_the_times_of_many() -> None:
    anew = Measured([], {Size.LARGE: [5.0], Size.SMALL: [1.0]}, Floor((0.06,), ()), "9.1.2")
    assert merged(BEFORE, anew).made == {Size.SMALL: [1.0], Size.LARGE: [7.0, 8.0]}
