"""Cases of the service levels: how fast a storage may use up its budget."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from tests.integration.alerts.case import Case
from tests.integration.alerts.series import EXISTS, Series, evicted, own, sessions, steps

if TYPE_CHECKING:
    from collections.abc import Iterable


def probes(every: int, away: int, count: int, period: int) -> tuple[Series, ...]:
    """A storage whose primary does not answer for `away` seconds, `count` times.

    Args:
        every: Samples between two such outages.
        away: Length of each, in seconds.
        count: How many there are.
        period: Seconds between two samples.
    """
    answered = [period - (0 if at % every else away) for at in range(1, every * (count + 1))]
    good = " ".join(map(str, accumulate(answered, initial=0)))
    return (
        EXISTS,
        own("probes_total", good, outcome="answered"),
        own("probes_total", steps(every, away, count), outcome="unanswered"),
        own("probe_seconds_bucket", good, le="0.1"),
        own("probe_seconds_bucket", good, le="+Inf"),
    )


def lost(every: int, count: int) -> tuple[Series, ...]:
    """A storage with 1,000 sessions that evicts one `count` times, always after `every` samples."""
    return EXISTS, *sessions(1000), evicted(steps(every, 1, count))


def cases() -> Iterable[Case]:
    """Alerts of this group."""
    slo = "SessionStorageSloBurns"
    # A page after more than 52 s away within an hour, of 30 days with 99.9 %.
    yield Case(slo, "critical", "1h2m", probes(60, 55, 1, 60), (probes(60, 50, 1, 60),), step="1m")
    # After more than 130 s within six hours, with less than 52 s in each of them.
    yield Case(slo, "critical", "6h10m", probes(60, 25, 6, 60), (probes(60, 20, 6, 60),), step="1m")
    # A ticket after more than 259 s within three days.
    yield Case(slo, "warning", "72h", probes(12, 4, 72, 300), (probes(12, 3, 72, 300),), step="5m")
    # Of 1,000 sessions with 99.99 %: two within an hour, four within six; eight within three days.
    yield Case(slo, "critical", "1h2m", lost(30, 2), (lost(60, 1),), step="1m")
    yield Case(slo, "critical", "5h22m", lost(80, 4), (lost(80, 3),), step="1m", spared_at="4h2m")
    yield Case(slo, "warning", "70h", lost(105, 8), (lost(120, 7),), step="5m")
