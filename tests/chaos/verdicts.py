"""What a writer has seen, related to the moment at which a fault struck. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.wire import CLOSED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Gap:
    """A time without an acknowledged write.

    Attributes:
        begun: When the last write before it was acknowledged, in seconds after the fault.
        seconds: How long it was.
        errors: How often the client met which error in it.
    """

    begun: float
    seconds: float
    errors: Mapping[str, int]


@dataclass(frozen=True)
class Verdict:
    """What a writer has seen of one run.

    Attributes:
        acked: How many writes were acknowledged.
        lost: When those of them were acknowledged that the primary no longer has, in seconds after the fault.
        gaps: The longest gaps, longest first.
        errors: How often the client met which error.
        role: Of the server that was asked at the end.
    """

    acked: int
    lost: tuple[float, ...]
    gaps: tuple[Gap, ...]
    errors: Mapping[str, int]
    role: str

    @property
    def gap(self) -> Gap:
        """The longest gap that was not over when the fault struck."""
        return next((gap for gap in self.gaps if gap.begun + gap.seconds > 0), Gap(0, 0, {}))

    @property
    def is_one_reconnect(self) -> bool:
        """Tell whether the client saw nothing but the end of one connection, at most."""
        return set(self.errors) <= {CLOSED} and self.errors.get(CLOSED, 0) <= 1


def acknowledged(lines: Iterable[str]) -> int:
    """Read from a writer's output how many writes were acknowledged so far."""
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return int(told[-1]["acked"]) if told else 0


def verdict(lines: Iterable[str], struck: float) -> Verdict | None:
    """Read a writer's verdict from its output; None if it has not come to one.

    Args:
        lines: What it printed.
        struck: When the fault struck, by the monotonic clock.
    """
    for line in lines:
        if line.startswith("{") and "role" in (said := json.loads(line)):
            gaps = (Gap(gap["begun"] - struck, gap["seconds"], gap["errors"]) for gap in said["gaps"])
            lost = tuple(sorted(at - struck for at in said["lost"]))
            return Verdict(said["acked"], lost, tuple(gaps), said["errors"], said["role"])
    return None
