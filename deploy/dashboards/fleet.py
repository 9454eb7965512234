"""The dashboard of all storages, a line for each, and of the reconciler that looks after them."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.dashboard import Dashboard, Row, Scope, Variable
from deploy.dashboards.panels import GREEN, RED, YELLOW, Figure, Graph, Query, Steps
from deploy.dashboards.reconciler import RECONCILER
from deploy.dashboards.storage_queries import (
    IS_TRUE,
    OF_AVAILABILITY,
    OF_LOSS,
    OF_MEMORY,
    PRIMARY,
    UNPLANNED,
    answered,
    changes,
    consumers,
    duration_of_moves,
    memory_ratio,
    rotations,
    sessions,
)
from deploy.dashboards.table import Column, Table

ALL: Final = Scope('namespace=~"$namespace"')
NAMED: Final = "{{namespace}}/{{storage}}"
READY: Final = ALL.series("session_storage_condition", 'type="Ready"', IS_TRUE)
SESSIONS: Final = f"sum by (namespace, storage) ({sessions(ALL)})"
LOST: Final = f"sum by (namespace, storage) ({ALL.total('redis_evicted_keys_total', PRIMARY)})"
LAG: Final = f"max by (namespace, storage) ({ALL.series('session_storage_replica_lag_bytes')})"
FAILOVERS: Final = f"sum by (namespace, storage) ({ALL.total('session_storage_primary_changes_total', UNPLANNED)})"
LARGE: Final = 'size="large"'
SHOWN: Final = 10
"""Storages in a graph; more are not readable."""
OF_FAILOVERS: Final = Steps(GREEN, ((1, YELLOW), (3, RED)))


def _most(expression: str) -> str:
    return f"topk({SHOWN}, {expression})"


NOW: Final = Row(
    "Now",
    (
        Figure(
            title="Storages",
            description="SessionStorages that the reconciler looks after, users' own stores among them.",
            unit="short",
            queries=(Query(f"count(count by (namespace, storage) ({ALL.series('session_storage_info')}))"),),
        ),
        Figure(
            title="Not ready",
            description="Storages whose condition `Ready` is not `True`: consumers cannot use them.",
            unit="short",
            queries=(Query(f"count(max by (namespace, storage) ({READY}) == 0) or vector(0)"),),
            steps=OF_LOSS,
        ),
        Figure(
            title="Live sessions",
            description="Sessions in all storages, counted once a minute.",
            unit="short",
            queries=(Query(f"sum({sessions(ALL)})"),),
        ),
        Figure(
            title="Sessions lost",
            description="Keys that full primaries removed in the time shown: users who were logged out.",
            unit="short",
            queries=(Query(f"sum({LOST})"),),
            steps=OF_LOSS,
        ),
        Figure(
            title="Fullest",
            description="How much of its memory the fullest storage uses.",
            unit="percentunit",
            queries=(Query(f"max({memory_ratio(ALL)})"),),
            steps=OF_MEMORY,
        ),
        Figure(
            title="Least available",
            description="Share of the seconds shown in which the primary of the worst storage answered within 100 ms.",
            unit="percentunit",
            queries=(Query(f"min({answered(ALL.total)})"),),
            steps=OF_AVAILABILITY,
        ),
        Figure(
            title="Failovers",
            description="Changes of a primary that nobody planned, in the time shown.",
            unit="short",
            queries=(Query(f"sum({FAILOVERS})"),),
            steps=OF_FAILOVERS,
        ),
        Figure(
            title="Leaders",
            description="Replicas of the reconciler that lead; there must be one. Without it, no storage fails over.",
            unit="short",
            queries=(Query("count(max by (pod) (session_storage_is_leader) == 1) or vector(0)"),),
            steps=Steps(RED, ((1, GREEN), (2, RED))),
        ),
    ),
)
STORAGES: Final = Row(
    "Storages",
    (
        Table(
            title="Storages",
            description="A line for each storage; a click on its name opens its own dashboard. Sessions lost,"
            " failovers and availability are of the time shown. Users' own stores have neither memory nor"
            " primary here.",
            labels=("namespace", "storage", "phase", "size", "version"),
            linked="storage",
            link="/d/session-storage-storage?var-namespace=${__data.fields.namespace}"
            "&var-storage=${__data.fields.storage}&${__url_time_range}",
            columns=(
                Column(
                    "",
                    "none",
                    f"max by (namespace, storage, phase, size, version) ({ALL.series('session_storage_info')})",
                ),
                Column("Memory", "percentunit", memory_ratio(ALL), OF_MEMORY),
                Column("Sessions", "short", SESSIONS),
                Column("Sessions lost", "short", LOST, OF_LOSS),
                Column("Available", "percentunit", answered(ALL.total), OF_AVAILABILITY),
                Column("Failovers", "short", FAILOVERS, OF_FAILOVERS),
                Column("Lag", "bytes", LAG),
                Column(
                    "Oldest password",
                    "s",
                    f"max by (namespace, storage) ({ALL.series('session_storage_password_age_seconds')})",
                ),
            ),
        ),
    ),
)
SESSIONS_AND_MEMORY: Final = Row(
    "Sessions and memory",
    (
        Graph(
            title="Most sessions",
            description="Live sessions of the ten storages that have most.",
            unit="short",
            queries=(Query(_most(SESSIONS), NAMED),),
        ),
        Graph(
            title="Fullest storages",
            description="Share of its memory that each of the ten fullest primaries uses.",
            unit="percentunit",
            queries=(Query(_most(memory_ratio(ALL)), NAMED),),
            highest=1,
        ),
        Graph(
            title="Sessions lost",
            description="Keys that full primaries remove, of the ten storages that lose most.",
            unit="cps",
            queries=(
                Query(_most(f"sum by (namespace, storage) ({ALL.rate('redis_evicted_keys_total', PRIMARY)})"), NAMED),
            ),
        ),
    ),
)
AVAILABILITY: Final = Row(
    "Availability",
    (
        Graph(
            title="Least available",
            description="Share of seconds in which the primary answered within 100 ms, of the ten worst storages.",
            unit="percentunit",
            queries=(Query(f"bottomk({SHOWN}, {answered(ALL.rate)})", NAMED),),
            highest=1,
        ),
        Graph(
            title="Slowest answers",
            description="99 % of the primary's answers came within this time, of the ten slowest storages.",
            unit="s",
            queries=(Query(_most(ALL.quantile(0.99, "session_storage_probe_seconds", "namespace", "storage")), NAMED),),
        ),
        Graph(
            title="Changes of primaries",
            description="Failovers and planned moves in each interval, by reason.",
            unit="short",
            queries=(
                Query(
                    f"sum by (reason, planned) ({ALL.grown('session_storage_primary_changes_total')})",
                    "{{reason}}, planned: {{planned}}",
                ),
            ),
            is_stacked=True,
        ),
        duration_of_moves(ALL),
        Graph(
            title="Furthest behind",
            description="Lag of the replica that is furthest behind, of the ten storages with most.",
            unit="bytes",
            queries=(Query(_most(LAG), NAMED),),
        ),
        Graph(
            title="Large storages by replicas in sync",
            description="`large` storages by how many replicas could take over now.",
            unit="short",
            queries=(
                Query(
                    'count_values("replicas", max by (namespace, storage) ('
                    f"{ALL.series('session_storage_synced_replicas')}) and on (namespace, storage) "
                    f"{ALL.series('session_storage_info', LARGE)})",
                    "{{replicas}} in sync",
                ),
            ),
            is_stacked=True,
        ),
    ),
)
CONSUMERS: Final = Row(
    "Consumers and passwords",
    (
        Graph(
            title="Consumers",
            description="Consumers that refer to a storage, and whether they may use it and the webhook has connected"
            " them.",
            unit="short",
            queries=(Query(consumers(ALL), "{{kind}}, wired: {{wired}}"),),
            is_stacked=True,
        ),
        Graph(
            title="Oldest passwords",
            description="Age of the oldest password that Valkey accepts, of the ten storages with the oldest.",
            unit="s",
            queries=(
                Query(
                    _most(f"max by (namespace, storage) ({ALL.series('session_storage_password_age_seconds')})"), NAMED
                ),
            ),
        ),
        Graph(
            title="Rotations",
            description="Storages by the phase of their newest rotation; empty until the first one. `Discarded` is"
            " its end.",
            unit="short",
            queries=(Query(rotations(ALL), "{{phase}}"),),
            is_stacked=True,
        ),
    ),
)
FLEET: Final = Dashboard(
    name="fleet",
    title="Session storage / fleet",
    description="All SessionStorages: which are full, lose sessions, or were away; and the reconciler.",
    rows=(NOW, STORAGES, SESSIONS_AND_MEMORY, AVAILABILITY, CONSUMERS, RECONCILER),
    variables=(Variable("namespace", "Namespace", "label_values(session_storage_info, namespace)", takes_all=True),),
    annotations=changes(ALL),
)
