"""Figures of a measurement, and how they are told. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Figures:
    """What was seen of one server in one case, over all of its rounds.

    Attributes:
        per_second: Requests in a second.
        p50: Milliseconds within which half of the answers came.
        p99: The same of 99 %.
        p999: The same of 99.9 %.
        processor: Microseconds of processor time that a request took the server; 0 if that was not measured.
    """

    per_second: float
    p50: float
    p99: float
    p999: float
    processor: float = 0.0

    @classmethod
    def of(cls, seconds: float, nanoseconds: Iterable[int], processor_seconds: float = 0.0) -> Figures:
        """Sum rounds up.

        Args:
            seconds: Of all rounds together.
            nanoseconds: Of each answer.
            processor_seconds: What the server's processor was busy for, in all rounds together.
        """
        ordered = sorted(nanoseconds)
        p50, p99, p999 = (percentile(ordered, share) / 1e6 for share in (0.5, 0.99, 0.999))
        return cls(len(ordered) / seconds, p50, p99, p999, processor_seconds / len(ordered) * 1e6)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ratio(ours: float, theirs: float) -> str:
    """Write how many times theirs ours is."""
    return f"{ours / theirs:.2f}x"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; all columns but the first are aligned to the right."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def milliseconds(value: float) -> str:
    """Write a duration with three figures that mean something."""
    return f"{value:.3g}"
