"""Queries, moments and a panel that the dashboards of all storages and of one have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.dashboards.dashboard import Annotation, Scope
from deploy.dashboards.panels import BLUE, GREEN, RED, YELLOW, Figure, Query, Steps

if TYPE_CHECKING:
    from collections.abc import Callable
ONE: Final = Scope('namespace="$namespace",storage="$storage"')
"""The storage that the reader has chosen."""
PRIMARY: Final = 'role="primary"'
PLANNED: Final = 'planned="true"'
UNPLANNED: Final = 'planned="false"'
IS_TRUE: Final = 'status="True"'
ANSWERED: Final = 'le="0.1"'
"""The bucket of answers within 100 ms: as fast as that counts as available."""
OF_MEMORY: Final = Steps(GREEN, ((0.7, YELLOW), (0.85, RED)))
OF_AVAILABILITY: Final = Steps(RED, ((0.99, YELLOW), (0.999, GREEN)))
OF_LOSS: Final = Steps(GREEN, ((1, RED),))
"""For counts of what should not happen at all."""


def memory_ratio(scope: Scope) -> str:
    """Say how full each storage's primary is."""
    used = scope.series("redis_memory_used_bytes", PRIMARY)
    return f"max by (namespace, storage) ({used} / ({scope.series('redis_memory_max_bytes', PRIMARY)} > 0))"


def answered(window: Callable[..., str]) -> str:
    """Say in which share of a window's seconds each storage's primary answered within 100 ms.

    Args:
        window: `rate` or `total` of the dashboard's scope.
    """
    good = f"sum by (namespace, storage) ({window('session_storage_probe_seconds_bucket', ANSWERED)})"
    return f"{good} / (sum by (namespace, storage) ({window('session_storage_probes_total')}) > 0)"


def sessions(scope: Scope) -> str:
    """Select the live sessions of each consumer in each storage."""
    return scope.once("session_storage_sessions", "consumer_namespace", "consumer")


def consumers(scope: Scope) -> str:
    """Count consumers by kind, and by whether they are wired."""
    return f"sum by (kind, wired) ({scope.once('session_storage_consumers', 'kind', 'wired')})"


def rotations(scope: Scope) -> str:
    """Count storages by the phase of their newest rotation."""
    return f"count by (phase) ({scope.once('session_storage_rotation_phase_since_seconds', 'phase')})"


def duration_of_moves(scope: Scope) -> Figure:
    """Show how long 99 % of the moves took.

    That is no number (NaN) for a kind of move of which there was none; `>= 0` leaves it out.
    """
    seen = scope.total("session_storage_failover_seconds_bucket")
    expression = f"histogram_quantile(0.99, sum by (le, planned) ({seen})) >= 0"
    return Figure(
        title="Duration of moves",
        description="From the decision until clients were sent to another instance: 99 % of the moves in the"
        " time shown took at most this long. Empty if no primary moved.",
        unit="s",
        queries=(Query(expression, "planned: {{planned}}"),),
        width=8,
        height=8,
    )


def changes(scope: Scope) -> tuple[Annotation, ...]:
    """Mark failovers, and moves that somebody planned, across all graphs."""
    return (
        Annotation("Failovers", _changed(scope, UNPLANNED), "Failover of {{namespace}}/{{storage}}: {{reason}}", RED),
        Annotation("Planned moves", _changed(scope, PLANNED), "Move of {{namespace}}/{{storage}}: {{reason}}", BLUE),
    )


def _changed(scope: Scope, planned: str) -> str:
    # Twice the step between two points, so that no change falls between them.
    grown = f"increase({scope.series('session_storage_primary_changes_total', planned)}[2m])"
    return f"sum by (namespace, storage, reason) ({grown}) > 0"
