from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.kubernetes.server_clock import ServerClock


def test_the_servers_clock_runs_on_after_the_last_answer() -> None:
    at = 50.0
    clock = ServerClock(lambda: at)
    clock.set("Tue, 24 Nov 2026 22:00:00 GMT")
    at = 57.5
    assert clock.now() == datetime(2026, 11, 24, 22, 0, 7, 500_000, tzinfo=UTC)
    clock.set("Tue, 24 Nov 2026 23:00:00 GMT")
    assert clock.now() == datetime(2026, 11, 24, 23, tzinfo=UTC)


@pytest.mark.parametrize("date", [None, "", "soon", "Tue, 99 Nov 2026 22:00:00 GMT", "Tue, 24 Nov 2026 22:00:00"])
def test_a_malformed_date_is_ignored(date: str | None) -> None:
    clock = ServerClock(lambda: 0.0)
    clock.set(date)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    clock.set("Tue, 24 Nov 2020 22:00:00 GMT")
    clock.set(date)
    assert clock.now() == datetime(2020, 11, 24, 22, tzinfo=UTC)
