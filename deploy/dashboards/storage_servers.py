"""Rows of one storage's dashboard about its Valkey servers: availability, replication, commands and connections."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.dashboard import Row
from deploy.dashboards.panels import GREEN, Graph, Query, States
from deploy.dashboards.storage_queries import IS_TRUE, ONE, PRIMARY, answered, duration_of_moves

BY_COMMAND: Final = f"sum by (cmd) ({ONE.rate('redis_commands_total')})"

AVAILABILITY: Final = Row(
    "Availability",
    (
        Graph(
            title="Available",
            description="Share of seconds in which the primary answered the reconciler within 100 ms.",
            unit="percentunit",
            queries=(Query(answered(ONE.rate), "answered"),),
            highest=1,
        ),
        Graph(
            title="Time until the primary answers",
            description="The reconciler asks the primary once a second; half and 99 % of the answers came within"
            " these times.",
            unit="s",
            queries=(
                Query(ONE.quantile(0.5, "session_storage_probe_seconds"), "half"),
                Query(ONE.quantile(0.99, "session_storage_probe_seconds"), "99 %"),
            ),
        ),
        duration_of_moves(ONE),
        States(
            title="Primary",
            description="Which pod clients are sent to.",
            queries=(Query(f"max by (pod) ({ONE.series('redis_up', PRIMARY)})", "{{pod}}"),),
            color=GREEN,
        ),
        States(
            title="Phase and pause",
            description="`status.phase`, and moments in which the primary holds writes back, as at the end of a"
            " planned move.",
            queries=(
                Query(f"max by (phase) ({ONE.series('session_storage_info')})", "{{phase}}"),
                Query(f"max({ONE.series('session_storage_writes_paused')})", "writes held back"),
            ),
        ),
        States(
            title="Conditions",
            description="Conditions that are `True`. `FailoverBlocked`, `PasswordOverdue` and `Stalled` ask for a"
            " person.",
            queries=(Query(f"max by (type) ({ONE.series('session_storage_condition', IS_TRUE)})", "{{type}}"),),
        ),
    ),
)
REPLICATION: Final = Row(
    "Replication (large storages)",
    (
        Graph(
            title="Replicas that could take over",
            description="Replicas in sync. A `large` storage has two; with none, it takes no writes.",
            unit="short",
            queries=(Query(f"max({ONE.series('session_storage_synced_replicas')})", "in sync"),),
        ),
        Graph(
            title="Lag",
            description="How far each replica is behind, and the backlog: a replica that is further behind than that"
            " needs a full copy once its connection breaks.",
            unit="bytes",
            queries=(
                Query(f"max by (pod) ({ONE.series('session_storage_replica_lag_bytes')})", "{{pod}}"),
                Query(f"max({ONE.series('redis_replication_backlog_bytes', PRIMARY)})", "backlog", is_limit=True),
            ),
        ),
        Graph(
            title="Full copies",
            description="Copies of all data that servers sent to replicas, in each interval. They cost memory and"
            " network.",
            unit="short",
            queries=(Query(f"sum by (pod) ({ONE.grown('redis_replica_resyncs_full')})", "{{pod}}"),),
        ),
    ),
)
COMMANDS: Final = Row(
    "Commands and connections",
    (
        Graph(
            title="Commands",
            description="Calls of each command, on all instances; those that ToolHive does not use are `other`.",
            unit="ops",
            queries=(Query(BY_COMMAND, "{{cmd}}"),),
            is_stacked=True,
        ),
        Graph(
            title="Latency by command",
            description="Mean time that Valkey spends on a call of each command, without the network.",
            unit="s",
            queries=(
                Query(
                    f"sum by (cmd) ({ONE.rate('redis_commands_duration_seconds_total')}) / ({BY_COMMAND} > 0)",
                    "{{cmd}}",
                ),
            ),
        ),
        Graph(
            title="Connections",
            description="Connections of clients to each server, and how many a server allows.",
            unit="short",
            queries=(
                Query(f"max by (pod) ({ONE.series('redis_connected_clients')})", "{{pod}}"),
                Query(f"max({ONE.series('redis_max_clients')})", "limit", is_limit=True),
            ),
        ),
        Graph(
            title="Clients refused",
            description="Connections refused because there were too many, logins with a wrong password, and clients"
            " cut off because the memory was full.",
            unit="cps",
            queries=(
                Query(f"sum({ONE.rate('redis_rejected_connections_total')})", "too many connections"),
                Query(f"sum({ONE.rate('redis_acl_access_denied_auth_total')})", "refused logins"),
                Query(f"sum({ONE.rate('redis_evicted_clients_total')})", "cut off for memory"),
            ),
        ),
        Graph(
            title="Network",
            description="Bytes that all instances received from clients and other instances, and sent to them.",
            unit="Bps",
            queries=(
                Query(f"sum({ONE.rate('redis_net_input_bytes_total')})", "received"),
                Query(f"sum({ONE.rate('redis_net_output_bytes_total')})", "sent"),
            ),
        ),
        Graph(
            title="Append-only file",
            description="Size of each server's file on disk; it shrinks with each rewrite.",
            unit="bytes",
            queries=(Query(f"max by (pod) ({ONE.series('redis_aof_current_size_bytes')})", "{{pod}}"),),
        ),
        States(
            title="Writes to disk",
            description="Whether the last write to the append-only file, and its last rewrite, succeeded. A server"
            " whose writes fail takes no writes of clients.",
            queries=(
                Query(f"min by (pod) ({ONE.series('redis_aof_last_write_status')})", "{{pod}}: write"),
                Query(f"min by (pod) ({ONE.series('redis_aof_last_bgrewrite_status')})", "{{pod}}: rewrite"),
            ),
            width=12,
            color=GREEN,
        ),
        States(
            title="Instances that answer",
            description="Whether the reconciler can ask each Valkey server.",
            queries=(Query(f"max by (pod) ({ONE.series('redis_up')})", "{{pod}}"),),
            width=12,
            color=GREEN,
        ),
    ),
)
