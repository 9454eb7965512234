"""Figures of a measurement, and how reports write them. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Figures:
    """Figures of one server in one case, over all of its rounds.

    Attributes:
        per_second: Requests per second.
        p50: Median latency, in milliseconds.
        p99: 99th percentile of the latency, in milliseconds.
        p999: 99.9th percentile of the latency, in milliseconds.
        processor: Processor time of the server per request, in microseconds; 0 if it was not measured.
    """

    per_second: float
    p50: float
    p99: float
    p999: float
    processor: float = 0.0

    @classmethod
    def of(cls, seconds: float, nanoseconds: Iterable[int], processor_seconds: float = 0.0) -> Figures:
        """Compute the figures.

        Args:
            seconds: Length of all rounds together.
            nanoseconds: Latency of each answer.
            processor_seconds: Processor time of the server in all rounds together.
        """
        ordered = sorted(nanoseconds)
        p50, p99, p999 = (percentile(ordered, share) / 1e6 for share in (0.5, 0.99, 0.999))
        return cls(len(ordered) / seconds, p50, p99, p999, processor_seconds / len(ordered) * 1e6)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the sorted values does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ratio(ours: float, theirs: float) -> str:
    """Write our figure as a multiple of theirs."""
    return f"{ours / theirs:.2f}x"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; all columns but the first are right-aligned."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def milliseconds(value: float) -> str:
    """Write a duration with three significant figures."""
    return f"{value:.3g}"
