"""The row about the reconciler, on the dashboard of all storages."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.dashboard import Row, Scope
from deploy.dashboards.panels import GREEN, Graph, Query, States

PROCESSES: Final = Scope()
"""The processes' own metrics name no storage."""

RECONCILER: Final = Row(
    "Reconciler",
    (
        Graph(
            title="Passes",
            description="Passes over storages by outcome. `error` passes by itself or waits for a person; `bug` is"
            " one of ours.",
            unit="ops",
            queries=(Query(f"sum by (outcome) ({PROCESSES.rate('session_storage_reconciles_total')})", "{{outcome}}"),),
            is_stacked=True,
        ),
        Graph(
            title="Duration of a pass",
            description="Half and 99 % of the passes over a storage took at most this long.",
            unit="s",
            queries=(
                Query(PROCESSES.quantile(0.5, "session_storage_reconcile_seconds"), "half"),
                Query(PROCESSES.quantile(0.99, "session_storage_reconcile_seconds"), "99 %"),
            ),
        ),
        Graph(
            title="Storages that wait",
            description="Storages that wait for a worker of the reconciler that leads.",
            unit="short",
            queries=(
                Query("max(session_storage_queue_length and on (pod) (session_storage_is_leader == 1))", "storages"),
            ),
        ),
        Graph(
            title="Counts of sessions",
            description="Counts of a storage's sessions by outcome.",
            unit="ops",
            queries=(
                Query(f"sum by (outcome) ({PROCESSES.rate('session_storage_session_counts_total')})", "{{outcome}}"),
            ),
        ),
        Graph(
            title="Errors that nobody foresaw",
            description="Errors of both processes since they began, by the part that went on after them, and"
            " changed objects that a part could not handle. Empty until the first one. Please report them.",
            unit="short",
            # Each part and each cache has a series, and hardly any ever counts.
            queries=(
                Query(f"sum by (part) ({PROCESSES.count('session_storage_unforeseen_errors_total')}) > 0", "{{part}}"),
                Query(
                    f"sum by (resource) ({PROCESSES.count('session_storage_unhandled_objects_total')}) > 0",
                    "{{resource}}",
                ),
            ),
        ),
        States(
            title="Leader",
            description="Which replica of the reconciler leads.",
            queries=(Query("max by (pod) (session_storage_is_leader)", "{{pod}}"),),
            color=GREEN,
        ),
    ),
)
