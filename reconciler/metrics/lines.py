"""Writes the lines of one storage in Prometheus' text format, by family. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from reconciler.metrics.families import Family

FamilyLines: TypeAlias = Mapping[str, bytes]
"""All lines of one storage, by the name of their family."""
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(slots=True)
class Histogram:
    """Counts durations by size.

    Attributes:
        bounds: Upper bounds of the buckets, in seconds, ascending.
        counts: How many durations are within each bound and above the one before; the last counts those above all.
        total: Sum of all durations, in seconds.
    """

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.total += seconds
        # A comparison of so few is cheaper than a bisection, and most durations are in the first bucket.
        self.counts[sum(seconds > bound for bound in self.bounds)] += 1


class StorageLines:
    """Collects the lines of one storage."""

    def __init__(self) -> None:
        self._text: dict[str, list[str]] = {}

    def labelled(self, family_labels: tuple[str, ...], *values: str) -> LabelledLines:
        """Begin lines that share their first labels.

        Args:
            family_labels: Names of these labels.
            values: Their values.
        """
        return LabelledLines(self._text, len(family_labels), _written(family_labels, values))

    def encoded(self) -> FamilyLines:
        """Return what has been collected."""
        return {name: "".join(lines).encode() for name, lines in self._text.items()}


@dataclass(frozen=True, slots=True)
class LabelledLines:
    """Adds lines that share their first labels, already written in `shared`."""

    text: dict[str, list[str]]
    count: int
    shared: str

    def add(self, family: Family, value: float | str, *labels: str) -> None:
        """Add a line.

        Args:
            family: Its family.
            value: A number, or one that is written already.
            labels: Values of the labels that the shared ones leave open.
        """
        self._of(family).append(f"{family.name}{{{self._labels(family, labels)}}} {value}\n")

    def add_histogram(self, family: Family, histogram: Histogram, *labels: str) -> None:
        """Add the lines of a histogram; arguments as for `add`."""
        lines, shown = self._of(family), self._labels(family, labels)
        bounds = (*map(str, histogram.bounds), "+Inf")
        cumulated = list(accumulate(histogram.counts))
        for bound, count in zip(bounds, cumulated, strict=True):
            lines.append(f'{family.name}_bucket{{{shown},le="{bound}"}} {count}\n')
        lines.append(f"{family.name}_sum{{{shown}}} {histogram.total:.6f}\n")
        lines.append(f"{family.name}_count{{{shown}}} {cumulated[-1]}\n")

    def _of(self, family: Family) -> list[str]:
        return self.text.setdefault(family.name, [])

    def _labels(self, family: Family, values: tuple[str, ...]) -> str:
        return f"{self.shared},{_written(family.labels[self.count :], values)}" if values else self.shared


@lru_cache(4096)
def _written(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Write labels; the same commands, reasons and statuses come up again and again."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    """Write a label's value (Prometheus, "Exposition formats")."""
    return value.translate(_ESCAPES)
