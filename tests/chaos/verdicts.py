"""Reads a writer's verdict, with times in seconds after the fault. Pure."""

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
        begun: When the last write before the gap was acknowledged, in seconds after the fault.
        seconds: Length of the gap.
        errors: Number of errors in the gap, by kind.
    """

    begun: float
    seconds: float
    errors: Mapping[str, int]


@dataclass(frozen=True)
class Verdict:
    """A writer's verdict on one run.

    Attributes:
        acked: Number of acknowledged writes.
        lost: When the writes were acknowledged that the primary no longer has, in seconds after the fault.
        gaps: The longest gaps, longest first.
        errors: Number of all errors, by kind.
        role: Role of the instance that was asked for the keys at the end, as `INFO` names it.
    """

    acked: int
    lost: tuple[float, ...]
    gaps: tuple[Gap, ...]
    errors: Mapping[str, int]
    role: str

    @property
    def gap(self) -> Gap:
        """The longest gap that had not ended when the fault struck."""
        return next((gap for gap in self.gaps if gap.begun + gap.seconds > 0), Gap(0, 0, {}))

    @property
    def is_one_reconnect(self) -> bool:
        """Tell whether the client saw no error, or only one closed connection."""
        return set(self.errors) <= {CLOSED} and self.errors.get(CLOSED, 0) <= 1


def acknowledged(lines: Iterable[str]) -> int:
    """Read the number of acknowledged writes so far from a writer's output."""
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return int(told[-1]["acked"]) if told else 0


def verdict(lines: Iterable[str], struck: float) -> Verdict | None:
    """Read a writer's verdict from its output; None if it has not printed one.

    Args:
        lines: The lines that it printed.
        struck: When the fault struck, in seconds of the monotonic clock.
    """
    for line in lines:
        if line.startswith("{") and "role" in (said := json.loads(line)):
            gaps = (Gap(gap["begun"] - struck, gap["seconds"], gap["errors"]) for gap in said["gaps"])
            lost = tuple(sorted(at - struck for at in said["lost"]))
            return Verdict(said["acked"], lost, tuple(gaps), said["errors"], said["role"])
    return None
