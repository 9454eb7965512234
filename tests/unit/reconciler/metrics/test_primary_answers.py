"""Every second counts as answered or not, once, and only the primary's answers count."""

from __future__ import annotations

from reconciler.metrics.families import STORAGE
from reconciler.metrics.lines import StorageLines
from reconciler.metrics.primary_answers import PrimaryAnswers
from tests.support.exposed import values

KEY = ("team", "mine")


def outcomes(answers: PrimaryAnswers) -> dict[tuple[str, ...], float]:
    lines = StorageLines()
    answers.add_lines(lines.labelled(STORAGE, *KEY), KEY)
    found = lines.encoded()
    return values(found["session_storage_probes_total"], "outcome") if found else {}


def buckets(answers: PrimaryAnswers) -> dict[str, float]:
    lines = StorageLines()
    answers.add_lines(lines.labelled(STORAGE, *KEY), KEY)
    text = lines.encoded()["session_storage_probe_seconds"].decode()
    rows = (line.rpartition(" ") for line in text.splitlines() if "_bucket" in line)
    return {name.split('le="')[1].rstrip('"}'): float(value) for name, _, value in rows}


def watched(primary: int = 0) -> PrimaryAnswers:
    answers = PrimaryAnswers()
    answers.note_primary(KEY, primary, 100.0, has_served=True)
    return answers


def test_answers_of_the_primary_count_by_how_long_they_took() -> None:
    answers = watched()
    for second, seconds in enumerate((0.0004, 0.003, 0.2, 0.4), 101):
        answers.note_answer(KEY, 0, seconds, float(second))
        answers.count_silence(second + 0.5)
    assert outcomes(answers) == {("answered",): 4, ("unanswered",): 0}
    found = buckets(answers)
    assert (found["0.001"], found["0.1"], found["0.25"], found["+Inf"]) == (1, 2, 3, 4)


def test_before_the_first_second_every_outcome_and_every_bucket_counts_zero() -> None:
    """Otherwise Prometheus would see no growth in the first one."""
    assert outcomes(watched()) == {("answered",): 0, ("unanswered",): 0}
    assert set(buckets(watched()).values()) == {0}


def test_answers_of_other_instances_do_not_count() -> None:
    answers = watched(primary=2)
    answers.note_answer(KEY, 0, 0.001, 101.0)
    answers.note_answer(("team", "other"), 2, 0.001, 101.0)
    assert outcomes(answers) == {("answered",): 0, ("unanswered",): 0}


def test_a_minute_of_silence_counts_as_a_minute() -> None:
    """Whether the server is silent or its pod is gone, so that nobody even asks."""
    answers = watched()
    answers.note_answer(KEY, 0, 0.001, 100.0)
    for second in range(101, 161):
        answers.count_silence(second + 0.2)
    answers.note_answer(KEY, 0, 0.001, 161.0)
    assert 58 <= outcomes(answers)[("unanswered",)] <= 60
    before = outcomes(answers)
    answers.count_silence(162.0)
    assert outcomes(answers) == before


def test_a_loop_that_was_held_up_counts_the_same_silence() -> None:
    often, seldom = watched(), watched()
    for second in range(101, 131):
        often.count_silence(float(second))
    seldom.count_silence(130.0)
    assert outcomes(often) == outcomes(seldom)


def test_answers_a_little_late_are_no_silence() -> None:
    """The heartbeat asks again a second after an answer, not on the second."""
    answers, at = watched(), 100.0
    for _ in range(200):
        answers.note_answer(KEY, 0, 0.004, at)
        answers.count_silence(at + 1.003)
        at += 1.004
    assert outcomes(answers)[("unanswered",)] == 0


def test_after_a_failover_the_new_primary_counts() -> None:
    answers = watched()
    answers.note_answer(KEY, 0, 0.001, 101.0)
    answers.note_primary(KEY, 1, 101.5, has_served=False)
    answers.note_answer(KEY, 1, 0.001, 102.0)
    answers.note_answer(KEY, 0, 0.001, 102.0)
    assert outcomes(answers) == {("answered",): 2, ("unanswered",): 0}


def test_nothing_counts_before_there_is_a_primary_nor_after_the_storage() -> None:
    answers = PrimaryAnswers()
    answers.note_answer(KEY, 0, 0.001, 1.0)
    answers.count_silence(50.0)
    assert outcomes(answers) == {}
    answers.note_primary(KEY, 0, 50.0, has_served=True)
    answers.forget(KEY)
    answers.count_silence(60.0)
    assert outcomes(answers) == {}


def test_the_time_that_a_new_storage_takes_to_start_is_no_silence() -> None:
    answers = PrimaryAnswers()
    answers.note_primary(KEY, 0, 100.0, has_served=False)
    answers.count_silence(160.0)
    answers.note_primary(KEY, 0, 161.0, has_served=True)
    answers.count_silence(161.5)
    assert outcomes(answers) == {("answered",): 0, ("unanswered",): 0}
