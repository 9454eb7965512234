"""An event loop whose clock jumps to the next timer when no task can run: hours pass in milliseconds."""

from __future__ import annotations

import asyncio
import functools
import selectors
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class _ImpatientSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("deadlock: every task waits, and there is no timer")
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits for a timer; its clock jumps to it."""

    def __init__(self) -> None:
        self._impatient = _ImpatientSelector()
        super().__init__(self._impatient)

    def time(self) -> float:
        return self._impatient.now


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test with a clock that jumps; `time.monotonic` and `loop.time` agree."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        with runner, patch("time.monotonic", runner.get_loop().time):
            runner.run(test(*arguments, **fixtures))

    return run
