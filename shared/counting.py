"""Lets labelled counters and histograms begin with 0, so that Prometheus sees their first event as growth."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import Counter, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

M = TypeVar("M", Counter, Histogram)


def from_zero(metric: M, *values: Iterable[str]) -> M:
    """Make a series, with 0, for each combination of values that the metric's labels can have.

    prometheus_client makes a series at its first event. It then begins with 1, and Prometheus' `rate` and `increase`
    see no growth in that. Where a value is known only later, as the name of a part, whoever learns it calls this.

    Args:
        metric: A metric with labels.
        values: The values of each label, in the order in which the metric declares its labels.

    Returns:
        The metric.
    """
    for combination in product(*values):
        metric.labels(*combination)
    return metric
