"""What a fault is, and what it has at hand."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

from shared.session_storage.sizes import Size
from tests.chaos.figures import Target
from tests.chaos.stand import Stand
from tests.chaos.writing import Writing


@dataclass(frozen=True)
class Scene:
    """What a fault befalls.

    Attributes:
        stand: The storage, and what uses it.
        writer: At work all the while, on another node than the primary's.
        chance: For whatever is left to it; the seed was printed.
    """

    stand: Stand
    writer: Writing
    chance: random.Random


Inflict: TypeAlias = Callable[[Scene], float]
"""Does something, undoes it whatever happens, and returns when it struck, by the monotonic clock.

It comes back when it is seen to have had its effect, so that nobody takes the time before for the time after.
"""


@dataclass(frozen=True)
class Fault:
    """Something that may happen to a storage.

    Attributes:
        name: On the command line and in the document.
        what: For the reader of the document.
        inflict: Has it happen.
        targets: What is wanted, for each size that it is tried on.
        setting: Puts things where they must be before, and back afterwards.
    """

    name: str
    what: str
    inflict: Inflict
    targets: Mapping[Size, Target]
    setting: Callable[[Stand], AbstractContextManager[None]] = lambda _: nullcontext()


def now() -> float:
    """Read the clock that the writer goes by as well."""
    return time.monotonic()


def hold(seconds: float) -> None:
    """Let a fault last: the one thing here that is a stretch of time and no condition."""
    time.sleep(seconds)
