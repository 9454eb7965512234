"""The types of a fault and of the scene that it strikes."""

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
    """What a fault strikes.

    Attributes:
        stand: The storage, and the MCP server that uses it.
        writers: Clients that write during the whole run, on another node than the primary's.
        rng: The source of the fault's random choices.
    """

    stand: Stand
    writers: Writing
    rng: random.Random


Inflict: TypeAlias = Callable[[Scene], float]
"""Inflicts a fault, undoes it in any case, and returns when it struck, in seconds of the monotonic clock.

It returns only after the fault has had its effect. Otherwise the caller could take a storage that has not yet noticed
the fault for one that has recovered from it.
"""


@dataclass(frozen=True)
class Fault:
    """Something that may happen to a storage.

    Attributes:
        name: Name on the command line and in the document.
        description: What happens, as the document says it.
        inflict: Inflicts the fault.
        targets: The target on each size that the fault strikes.
        setup: Prepares the stand for the fault, and restores it afterwards.
    """

    name: str
    description: str
    inflict: Inflict
    targets: Mapping[Size, Target]
    setup: Callable[[Stand], AbstractContextManager[None]] = lambda _: nullcontext()


def now() -> float:
    """Read the monotonic clock, which the writers read too."""
    return time.monotonic()


def hold(seconds: float) -> None:
    """Let a fault last for a time; everything else in this suite waits for a condition."""
    time.sleep(seconds)
