"""Keeps one part of a process running after an error that nobody foresaw, so that the other parts go on meanwhile."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import Counter

from shared.counting import from_zero
from shared.process import log_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

FIRST_PAUSE_SECONDS: Final = 0.5
MAX_PAUSE_SECONDS: Final = 30.0

FAILURES: Final = Counter(
    "session_storage_unforeseen_errors_total",
    "Errors that nobody foresaw, by the part that went on after them.",
    ["part"],
)
_log = logging.getLogger(__name__)
_random = random.SystemRandom()


async def keep_running(part: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a part until it ends by itself or is cancelled; after an unforeseen error begin again, with a growing pause.

    Args:
        part: What the log and the metric call it.
        work: Begins it; called anew after each error.
    """
    log_scope.leave()
    failures = from_zero(FAILURES, [part]).labels(part)
    clock, pause = asyncio.get_running_loop().time, FIRST_PAUSE_SECONDS
    while True:
        began = clock()
        try:
            await work()
        except Exception:  # noqa: BLE001 - whatever it is, it must neither end the process nor stay silent
            failures.inc()
            if clock() - began > MAX_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            _log.exception("an unforeseen error; beginning again", extra={"part": part, "retry_seconds": pause})
        else:
            return
        await asyncio.sleep(pause * _random.uniform(0.8, 1.2))
        pause = min(pause * 2, MAX_PAUSE_SECONDS)
