"""An annotation asks for more log lines of a storage, and ends by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.state.log_level import LONGEST, LogLevelRequest

NOW = datetime(2026, 1, 31, 17, 0, tzinfo=UTC)


def test_a_request_counts_until_its_end() -> None:
    asked = LogLevelRequest.of("debug@2026-01-31T18:00:00Z")
    assert asked == LogLevelRequest("DEBUG", NOW + timedelta(hours=1))
    assert asked is not None
    assert asked.counts_at(NOW)
    assert asked.counts_at(asked.until - timedelta(seconds=1))
    assert not asked.counts_at(asked.until)


def test_a_request_with_a_mistyped_year_does_not_count() -> None:
    asked = LogLevelRequest("DEBUG", NOW + LONGEST)
    assert asked.counts_at(NOW)
    assert not asked.counts_at(NOW - timedelta(seconds=1))


@pytest.mark.parametrize(
    "text",
    [
        *("", "debug", "debug@", "@2026-01-31T18:00:00Z", "debug@tomorrow", "debug@2026-01-31T18:00:00"),
        *("warning@2026-01-31T18:00:00Z", "critical@2026-01-31T18:00:00Z", "debug@2026-13-31T18:00:00Z"),
    ],
)
def test_any_other_value_asks_for_nothing(text: str) -> None:
    """Nobody can have less logged: it would hide what happens to a storage."""
    assert LogLevelRequest.of(text) is None


def test_case_and_space_do_not_matter() -> None:
    assert LogLevelRequest.of(" Info@2026-01-31T18:00:00Z ") == LogLevelRequest("INFO", NOW + timedelta(hours=1))
