from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import Figures, milliseconds, percentile, ratio, table


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_the_value_of_its_rank(share: float, value: int) -> None:
    assert percentile(range(1, 101), share) == value


@given(st.lists(st.integers(), min_size=1), st.floats(0, 1))
def test_at_least_the_share_does_not_exceed_a_percentile(values: list[int], share: float) -> None:
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_figures_are_in_milliseconds_and_seconds() -> None:
    figures = Figures.of(2.0, [4_000_000, 1_000_000, 2_000_000, 3_000_000], processor_seconds=0.002)
    assert figures == Figures(per_second=2.0, p50=2.0, p99=4.0, p999=4.0, processor=500.0)


def test_a_ratio_is_our_figure_as_a_multiple_of_theirs() -> None:
    assert ratio(5000, 1000) == "5.00x"


@pytest.mark.parametrize(("value", "text"), [(0.5384, "0.538"), (12.345, "12.3"), (0.04, "0.04"), (264.15, "264")])
def test_durations_have_three_significant_figures(value: float, text: str) -> None:
    assert milliseconds(value) == text


def test_a_table_is_markdown() -> None:
    assert table(("case", "p50"), [("create", "1.5")]) == "| case | p50 |\n| --- | ---: |\n| create | 1.5 |\n"
