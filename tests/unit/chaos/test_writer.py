"""Which gaps and errors the writer counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.writer import Journal, role_in


def journal(*times: float) -> Journal:
    written = Journal()
    for number, at in enumerate(times):
        written.acknowledge(number, at)
    return written


def test_the_longest_gap_comes_first_with_what_went_wrong_in_it() -> None:
    written = journal(1.0, 1.1, 3.1)
    written.fail("closed", 1.2)
    written.fail("refused", 1.3)
    written.fail("refused", 1.4)
    first, *_ = written.gaps(3.2)
    assert first == {"begun": 1.1, "seconds": pytest.approx(2.0), "errors": {"closed": 1, "refused": 2}}


def test_a_gap_that_has_not_ended_lasts_until_the_end_of_the_run() -> None:
    assert journal(1.0, 1.1).gaps(9.0)[0]["begun"] == 1.1


def test_errors_before_the_first_acknowledgement_do_not_count() -> None:
    written = Journal()
    written.fail("timeout", 0.5)
    written.acknowledge(1, 1.0)
    assert written.errors == []


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=15).map(sorted), st.floats(0, 10))
def test_all_gaps_together_are_the_whole_time(times: list[float], rest: float) -> None:
    end = times[-1] + rest
    lengths = [gap["seconds"] for gap in journal(*times).gaps(end)]
    assert sum(map(float, map(str, lengths))) == pytest.approx(end - times[0], abs=1e-9)
    assert lengths == sorted(lengths, key=lambda length: -float(str(length)))


def test_the_role_is_read_from_the_answer_to_info() -> None:
    assert role_in("# Replication\r\nrole:master\r\nconnected_slaves:2\r\n") == "master"
