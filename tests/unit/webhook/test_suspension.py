from __future__ import annotations

from webhook.suspension import CHECK_SECONDS, SUSPENDED_SECONDS, SuspensionDetector


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_running_process_counts_as_current() -> None:
    clock = Clock()
    detector = SuspensionDetector(clock)
    for _ in range(10):
        clock.now += CHECK_SECONDS
        detector.was_suspended()
    assert not detector.was_suspended()


def test_a_suspended_process_knows_it_before_the_next_beat_and_until_it_has_caught_up() -> None:
    clock = Clock()
    detector = SuspensionDetector(clock)
    clock.now += SUSPENDED_SECONDS + 1
    assert detector.was_suspended()
    clock.now += CHECK_SECONDS
    assert detector.was_suspended()
    detector.reset()
    assert not detector.was_suspended()


def test_the_clock_goes_on_while_the_machine_is_suspended() -> None:
    first = SuspensionDetector()
    assert not first.was_suspended()
