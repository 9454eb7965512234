"""Notices that this process was suspended: its caches may be out of date when it runs again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

CHECK_SECONDS: Final = 1.0
SUSPENDED_SECONDS: Final = 3.0
"""Gap between two checks that counts as a suspension. kubelet takes longer to find a pod not ready, so every suspension
that takes the pod out of its Service counts."""


def boot_time() -> float:
    """Read the clock that runs on while a process, or the whole machine, is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SuspensionDetector:
    """Remembers that the process was suspended, until the caller has made its caches current."""

    def __init__(self, clock: Callable[[], float] = boot_time) -> None:
        self._clock = clock
        self._checked = clock()
        self._was_suspended = False

    def was_suspended(self) -> bool:
        """Check, and tell whether the process was suspended since the last reset. Call this every second."""
        now = self._clock()
        self._was_suspended |= now - self._checked > SUSPENDED_SECONDS
        self._checked = now
        return self._was_suspended

    def reset(self) -> None:
        """Forget the suspension, once the caches are current again."""
        self._was_suspended = False
