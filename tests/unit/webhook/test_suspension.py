from __future__ import annotations

from webhook.suspension import BEAT_SECONDS, STILL_SECONDS, Pulse


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_process_that_runs_misses_nothing() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    for _ in range(10):
        clock.now += BEAT_SECONDS
        pulse.beat()
    assert not pulse.has_missed_beats()


def test_whoever_stood_still_knows_it_before_the_next_beat_and_until_it_has_caught_up() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    clock.now += STILL_SECONDS + 1
    assert pulse.has_missed_beats()
    clock.now += BEAT_SECONDS
    assert pulse.has_missed_beats()
    pulse.catch_up()
    assert not pulse.has_missed_beats()


def test_the_clock_is_one_that_suspended_machines_do_not_stop() -> None:
    first = Pulse()
    assert not first.has_missed_beats()
