"""Every second counts as answered or not, once, and only the primary's answers count."""

from __future__ import annotations

from reconciler.metrics.families import STORAGE
from reconciler.metrics.lines import StorageLines
from reconciler.metrics.pulses import Pulses
from tests.support.exposed import values

KEY = ("team", "mine")


def outcomes(pulses: Pulses) -> dict[tuple[str, ...], float]:
    lines = StorageLines()
    pulses.add_lines(lines.labelled(STORAGE, *KEY), KEY)
    found = lines.encoded()
    return values(found["session_storage_probes_total"], "outcome") if found else {}


def buckets(pulses: Pulses) -> dict[str, float]:
    lines = StorageLines()
    pulses.add_lines(lines.labelled(STORAGE, *KEY), KEY)
    text = lines.encoded()["session_storage_probe_seconds"].decode()
    rows = (line.rpartition(" ") for line in text.splitlines() if "_bucket" in line)
    return {name.split('le="')[1].rstrip('"}'): float(value) for name, _, value in rows}


def watched(primary: int = 0) -> Pulses:
    pulses = Pulses()
    pulses.note_primary(KEY, primary, 100.0)
    return pulses


def test_answers_of_the_primary_count_by_how_long_they_took() -> None:
    pulses = watched()
    for second, seconds in enumerate((0.0004, 0.003, 0.2, 0.4), 101):
        pulses.note_answer(KEY, 0, seconds, float(second))
        pulses.count_silence(second + 0.5)
    assert outcomes(pulses) == {("answered",): 4, ("unanswered",): 0}
    found = buckets(pulses)
    assert (found["0.001"], found["0.1"], found["0.25"], found["+Inf"]) == (1, 2, 3, 4)


def test_answers_of_other_instances_do_not_count() -> None:
    pulses = watched(primary=2)
    pulses.note_answer(KEY, 0, 0.001, 101.0)
    pulses.note_answer(("team", "other"), 2, 0.001, 101.0)
    assert outcomes(pulses) == {("answered",): 0, ("unanswered",): 0}


def test_a_minute_of_silence_counts_as_a_minute() -> None:
    """Whether the server is silent or its pod is gone, so that nobody even asks."""
    pulses = watched()
    pulses.note_answer(KEY, 0, 0.001, 100.0)
    for second in range(101, 161):
        pulses.count_silence(second + 0.2)
    pulses.note_answer(KEY, 0, 0.001, 161.0)
    assert 58 <= outcomes(pulses)[("unanswered",)] <= 60
    before = outcomes(pulses)
    pulses.count_silence(162.0)
    assert outcomes(pulses) == before


def test_a_loop_that_was_held_up_counts_the_same_silence() -> None:
    often, seldom = watched(), watched()
    for second in range(101, 131):
        often.count_silence(float(second))
    seldom.count_silence(130.0)
    assert outcomes(often) == outcomes(seldom)


def test_answers_a_little_late_are_no_silence() -> None:
    """The heartbeat asks again a second after an answer, not on the second."""
    pulses, at = watched(), 100.0
    for second in range(1, 200):
        at += 1.004
        pulses.note_answer(KEY, 0, 0.004, at)
        pulses.count_silence(100.0 + second)
    assert outcomes(pulses)[("unanswered",)] == 0


def test_after_a_failover_the_new_primary_counts() -> None:
    pulses = watched()
    pulses.note_answer(KEY, 0, 0.001, 101.0)
    pulses.note_primary(KEY, 1, 101.5)
    pulses.note_answer(KEY, 1, 0.001, 102.0)
    pulses.note_answer(KEY, 0, 0.001, 102.0)
    assert outcomes(pulses) == {("answered",): 2, ("unanswered",): 0}


def test_nothing_counts_before_there_is_a_primary_nor_after_the_storage() -> None:
    pulses = Pulses()
    pulses.note_answer(KEY, 0, 0.001, 1.0)
    pulses.count_silence(50.0)
    assert outcomes(pulses) == {}
    pulses.note_primary(KEY, 0, 50.0)
    pulses.forget(KEY)
    pulses.count_silence(60.0)
    assert outcomes(pulses) == {}
