"""Notices that this process stood still: what it knows may be out of date when it moves again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT_SECONDS: Final = 1.0
STILL_SECONDS: Final = 3.0
"""Less than it takes kubelet to find a pod not ready: whoever was taken out of the Service is noticed here too."""


def boot_time() -> float:
    """Read the clock that runs on while a process, or the whole machine, is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Pulse:
    """Beats once a second; a gap is remembered until somebody has made up for it."""

    def __init__(self, clock: Callable[[], float] = boot_time) -> None:
        self._clock = clock
        self._beaten = clock()
        self._missed = False

    def has_missed_beats(self) -> bool:
        """Whether the process stood still since it last caught up; true even before the next beat."""
        self.beat()
        return self._missed

    def beat(self) -> None:
        """Say that the process runs."""
        now = self._clock()
        self._missed |= now - self._beaten > STILL_SECONDS
        self._beaten = now

    def catch_up(self) -> None:
        """Say that all is known again."""
        self._missed = False
