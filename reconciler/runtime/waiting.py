"""Waits for what only asking again can tell."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def within(seconds: float, is_so: Callable[[], Awaitable[bool]], pause_seconds: float) -> bool:
    """Ask again and again, with pauses in between, until something is so, or time is up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                if await is_so():
                    return True
                await asyncio.sleep(pause_seconds)
    return False
