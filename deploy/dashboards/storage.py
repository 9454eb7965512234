"""The dashboard of one storage."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.dashboard import Dashboard, Row, Variable
from deploy.dashboards.panels import GREEN, RED, YELLOW, Figure, Graph, Query, States, Steps
from deploy.dashboards.storage_queries import (
    OF_AVAILABILITY,
    OF_LOSS,
    OF_MEMORY,
    ONE,
    PRIMARY,
    UNPLANNED,
    answered,
    changes,
    consumers,
    memory_ratio,
    rotations,
    sessions,
)
from deploy.dashboards.storage_servers import AVAILABILITY, COMMANDS, REPLICATION

FORECAST_SECONDS: Final = 4 * 3600
"""As far ahead as the alert `SessionStorageFillsSoon` looks; it goes by the last hour as well."""
USED: Final = f"max({ONE.series('redis_memory_used_bytes', PRIMARY)})"
MOST: Final = f"max({ONE.series('redis_memory_max_bytes', PRIMARY)})"
MISSES: Final = ONE.rate("redis_keyspace_misses_total", PRIMARY)
PER_SESSION: Final = f"max({ONE.series('session_storage_memory_bytes_per_session')})"

NOW: Final = Row(
    "Now",
    (
        Figure(
            title="Phase",
            description="`status.phase` of the SessionStorage; `kubectl describe` says why.",
            unit="none",
            queries=(Query(f"max by (phase) ({ONE.series('session_storage_info')})", "{{phase}}"),),
            shows_name=True,
        ),
        Figure(
            title="Size and version",
            description="The size that Valkey has, and the primary's version of Valkey.",
            unit="none",
            queries=(Query(f"max by (size, version) ({ONE.series('session_storage_info')})", "{{size}} {{version}}"),),
            shows_name=True,
        ),
        Figure(
            title="Live sessions",
            description="All consumers' sessions, counted once a minute.",
            unit="short",
            queries=(Query(f"sum({sessions(ONE)})"),),
        ),
        Figure(
            title="Sessions that still fit",
            description="Free memory divided by what a session takes now. Beyond that, Valkey removes the sessions"
            " that nobody has used for longest, and their users are logged out.",
            unit="short",
            queries=(Query(f"({MOST} - {USED}) / {PER_SESSION}"),),
        ),
        Figure(
            title="Memory in use",
            description="Share of `maxmemory` that the primary uses.",
            unit="percentunit",
            queries=(Query(memory_ratio(ONE)),),
            steps=OF_MEMORY,
        ),
        Figure(
            title="Sessions lost",
            description="Keys that the primary removed because its memory was full, in the time shown.",
            unit="short",
            queries=(Query(f"sum({ONE.total('redis_evicted_keys_total', PRIMARY)})"),),
            steps=OF_LOSS,
        ),
        Figure(
            title="Available",
            description="Share of the seconds shown in which the primary answered the reconciler within 100 ms.",
            unit="percentunit",
            queries=(Query(answered(ONE.total)),),
            steps=OF_AVAILABILITY,
        ),
        Figure(
            title="Failovers",
            description="Changes of the primary that nobody planned, in the time shown.",
            unit="short",
            queries=(Query(f"sum({ONE.total('session_storage_primary_changes_total', UNPLANNED)})"),),
            steps=Steps(GREEN, ((1, YELLOW), (3, RED))),
        ),
    ),
)
SESSIONS: Final = Row(
    "Sessions",
    (
        Graph(
            title="Sessions by consumer",
            description="Live sessions of each consumer that refers to the storage. `unknown` are those whose keys"
            " belong to no such consumer.",
            unit="short",
            queries=(
                Query(
                    sessions(ONE),
                    "{{consumer_namespace}}/{{consumer}}",
                ),
            ),
            width=12,
            is_stacked=True,
        ),
        Graph(
            title="Sessions lost and ended",
            description="Keys that the primary removed because its memory was full (lost), and keys whose time was"
            " over.",
            unit="cps",
            queries=(
                Query(f"sum({ONE.rate('redis_evicted_keys_total', PRIMARY)})", "lost"),
                Query(f"sum({ONE.rate('redis_expired_keys_total', PRIMARY)})", "ended"),
            ),
            width=6,
        ),
        Graph(
            title="Reads that found nothing",
            description="Share of reads whose key was not there. A proxy answers 404 then, and its client begins anew.",
            unit="percentunit",
            queries=(
                Query(
                    f"sum({MISSES}) / (sum({ONE.rate('redis_keyspace_hits_total', PRIMARY)} + {MISSES}) > 0)",
                    "reads",
                ),
            ),
            width=6,
        ),
    ),
)
MEMORY: Final = Row(
    "Memory",
    (
        Graph(
            title="Memory and forecast",
            description="What the primary uses, what it may use, and what it will use in four hours if it goes on as"
            " in the last hour. Where the forecast crosses the limit, sessions will be lost: choose a"
            " larger size in time.",
            unit="bytes",
            queries=(
                Query(USED, "used"),
                Query(MOST, "limit", is_limit=True),
                Query(f"predict_linear(({USED})[1h:1m], {FORECAST_SECONDS})", "in four hours", is_limit=True),
            ),
            width=12,
        ),
        Graph(
            title="Memory for each session",
            description="The primary's memory divided by its live sessions. It falls with the number of sessions,"
            " because an empty Valkey uses memory too.",
            unit="bytes",
            queries=(Query(PER_SESSION, "a session"),),
            width=6,
        ),
        Graph(
            title="Memory by pod, as the kernel counts",
            description="Resident memory of each Valkey server. The kernel ends a server that exceeds its container's"
            " limit.",
            unit="bytes",
            queries=(Query(f"max by (pod) ({ONE.series('redis_memory_used_rss_bytes')})", "{{pod}}"),),
            width=6,
        ),
    ),
)
ROTATION: Final = Row(
    "Rotation and consumers",
    (
        Graph(
            title="Age of the oldest password",
            description="Age of the oldest password that Valkey accepts, and how often passwords are to rotate"
            " (`spec.rotation.every`; absent without a schedule).",
            unit="s",
            queries=(
                Query(f"max({ONE.series('session_storage_password_age_seconds')})", "age"),
                Query(f"max({ONE.series('session_storage_rotation_interval_seconds')})", "schedule", is_limit=True),
            ),
        ),
        States(
            title="Phase of the rotation",
            description="How far the newest rotation is; empty until the first one. `Discarded` is its end. In"
            " `AwaitConsumers` it waits for consumers that still use the former password.",
            queries=(Query(rotations(ONE), "{{phase}}"),),
        ),
        Graph(
            title="Consumers",
            description="Consumers that refer to the storage, and whether they may use it and the webhook has"
            " connected them.",
            unit="short",
            queries=(Query(consumers(ONE), "{{kind}}, wired: {{wired}}"),),
            is_stacked=True,
        ),
        Graph(
            title="Age of these figures",
            description="How long ago the reconciler looked at the storage (every 30 s at rest), and counted its"
            " sessions (once a minute).",
            unit="s",
            queries=(
                Query(f"time() - max({ONE.series('session_storage_looked_at_timestamp_seconds')})", "look"),
                Query(f"time() - max({ONE.series('session_storage_sessions_counted_timestamp_seconds')})", "count"),
            ),
            width=24,
            height=6,
        ),
    ),
)
STORAGE: Final = Dashboard(
    name="storage",
    title="Session storage / one storage",
    description="One SessionStorage: whose sessions are in it, how full it is, whether it was there for its clients.",
    rows=(NOW, SESSIONS, MEMORY, AVAILABILITY, REPLICATION, COMMANDS, ROTATION),
    variables=(
        Variable("namespace", "Namespace", "label_values(session_storage_info, namespace)"),
        Variable("storage", "Storage", 'label_values(session_storage_info{namespace="$namespace"}, storage)'),
    ),
    annotations=changes(ONE),
)
