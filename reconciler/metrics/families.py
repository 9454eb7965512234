"""Declares every series of `/metrics/storages`. Pure.

What a Valkey server says of itself has the names of redis_exporter (github.com/oliver006/redis_exporter), so that
dashboards and alerts that people have go on working. What only the reconciler knows begins with `session_storage_`.

A Valkey server has the labels `namespace` and `storage` of its SessionStorage, `pod`, which joins with cAdvisor and
kube-state-metrics, and `role`: `primary` for the instance that the storage's Service names, else `replica`. Whoever
scrapes this must keep these labels (`honorLabels: true`), because Prometheus has others of these names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["gauge", "counter", "histogram"]
STORAGE: Final = ("namespace", "storage")
INSTANCE: Final = (*STORAGE, "pod", "role")


@dataclass(frozen=True, slots=True)
class Family:
    """All series of one name.

    Attributes:
        name: Its name; those of a histogram's series have suffixes.
        kind: What Prometheus may do with its values.
        help: What it says, in a sentence.
        labels: Names of its labels, in the order in which they are written. A histogram's `le` is not among them.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = STORAGE

    @property
    def header(self) -> str:
        """The two lines that begin the family in Prometheus' text format."""
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"


def _gauge(name: str, text: str, *labels: str) -> Family:
    return Family(f"session_storage_{name}", "gauge", text, (*STORAGE, *labels))


def _counter(name: str, text: str, *labels: str) -> Family:
    return Family(f"session_storage_{name}", "counter", text, (*STORAGE, *labels))


def _instance_gauge(name: str, text: str, *labels: str) -> Family:
    return Family(f"redis_{name}", "gauge", text, (*INSTANCE, *labels))


def _instance_counter(name: str, text: str, *labels: str) -> Family:
    return Family(f"redis_{name}", "counter", text, (*INSTANCE, *labels))


IS_LEADER: Final = Family(
    "session_storage_is_leader", "gauge", "1 on the replica that leads and tells of storages here, else 0.", ()
)

INFO: Final = _gauge(
    "info",
    "Always 1; the labels tell the size (`external` for a user's own store), the phase and Valkey's version.",
    "size",
    "phase",
    "version",
)
CONDITION: Final = _gauge(
    "condition", "1 for the status that a condition of the SessionStorage has, 0 for the others.", "type", "status"
)
LOOKED_AT: Final = _gauge(
    "looked_at_timestamp_seconds",
    "Unix time of the look that the storage's series are from; of the first try, if none has succeeded.",
)
SYNCED_REPLICAS: Final = _gauge("synced_replicas", "Replicas that could take over now.")
REPLICA_LAG: Final = _gauge(
    "replica_lag_bytes", "How far a replica is behind its primary; absent if it belongs to another history.", "pod"
)
WRITES_PAUSED: Final = _gauge(
    "writes_paused", "1 while the primary holds clients' writes back, as in a switchover, else 0."
)
PRIMARY_CHANGES: Final = _counter(
    "primary_changes_total",
    "Times that clients were sent to another instance, since this replica began to lead.",
    "reason",
    "planned",
)
FAILOVER_SECONDS: Final = Family(
    "session_storage_failover_seconds",
    "histogram",
    "Seconds from the decision until clients were sent to another instance.",
    (*STORAGE, "planned"),
)
PROBES: Final = _counter(
    "probes_total",
    "Seconds in which the reconciler asked the primary whether it lives, by outcome: answered or unanswered.",
    "outcome",
)
PROBE_SECONDS: Final = Family(
    "session_storage_probe_seconds", "histogram", "Seconds until the primary answered; only probes that it answered."
)
PASSWORD_AGE: Final = _gauge("password_age_seconds", "Age of the oldest password that Valkey accepts.")
ROTATION_INTERVAL: Final = _gauge(
    "rotation_interval_seconds", "How often passwords are to rotate (`spec.rotation.every`); absent without a schedule."
)
ROTATION_PHASE: Final = _gauge(
    "rotation_phase_since_seconds", "How long the newest rotation has been in its phase.", "phase"
)
CONSUMERS: Final = _gauge(
    "consumers",
    "Consumers that refer to the storage; wired if they may use it and the webhook has connected them.",
    "kind",
    "wired",
)
SESSIONS: Final = _gauge(
    "sessions",
    "Live sessions by consumer, counted once a minute by the prefix of their keys; those of nobody known here have"
    " the consumer `unknown`.",
    "consumer_namespace",
    "consumer",
)
SESSIONS_COUNTED: Final = _gauge("sessions_counted_timestamp_seconds", "Unix time at which the sessions were counted.")
MEMORY_PER_SESSION: Final = _gauge(
    "memory_bytes_per_session", "Memory that the primary uses, divided by its live sessions; absent without a session."
)

UP: Final = _instance_gauge("up", "1 if the reconciler can ask the Valkey server, else 0.")
INSTANCE_INFO: Final = _instance_gauge(
    "instance_info", "Always 1; the labels tell the versions.", "redis_version", "valkey_version"
)
DB_KEYS: Final = _instance_gauge("db_keys", "Keys in a database.", "db")
DB_KEYS_EXPIRING: Final = _instance_gauge("db_keys_expiring", "Keys in a database that expire by themselves.", "db")
COMMANDS: Final = _instance_counter(
    "commands_total", "Calls of a command; those that ToolHive does not use are summed as `other`.", "cmd"
)
COMMANDS_DURATION: Final = _instance_counter(
    "commands_duration_seconds_total", "Seconds spent on a command, as for redis_commands_total.", "cmd"
)
MASTER_LINK_UP: Final = _instance_gauge("master_link_up", "1 if a replica is linked with its primary, else 0.")
SLAVE_REPL_OFFSET: Final = _instance_gauge("slave_repl_offset", "How much of the history of writes a replica has.")
AOF_LAST_WRITE: Final = _instance_gauge("aof_last_write_status", "1 if the last write to the file succeeded, else 0.")
AOF_LAST_REWRITE: Final = _instance_gauge(
    "aof_last_bgrewrite_status", "1 if the last rewrite of the file succeeded, else 0."
)

BY_FIELD: Final = {
    "uptime_in_seconds": _instance_gauge("uptime_in_seconds", "Seconds since the server started."),
    "connected_clients": _instance_gauge("connected_clients", "Connections of clients."),
    "maxclients": _instance_gauge("max_clients", "Connections that the server allows."),
    "blocked_clients": _instance_gauge("blocked_clients", "Clients that wait in a blocking command."),
    "rejected_connections": _instance_counter("rejected_connections_total", "Connections refused for max_clients."),
    "used_memory": _instance_gauge("memory_used_bytes", "Memory that the server has allocated."),
    "used_memory_rss": _instance_gauge("memory_used_rss_bytes", "Memory of the server as the kernel counts it."),
    "maxmemory": _instance_gauge("memory_max_bytes", "Memory at which the server begins to evict."),
    "mem_fragmentation_ratio": _instance_gauge("mem_fragmentation_ratio", "Resident memory by allocated memory."),
    "evicted_keys": _instance_counter("evicted_keys_total", "Keys removed because the memory was full."),
    "expired_keys": _instance_counter("expired_keys_total", "Keys whose time was over."),
    "evicted_clients": _instance_counter("evicted_clients_total", "Clients cut off because the memory was full."),
    "keyspace_hits": _instance_counter("keyspace_hits_total", "Reads that found their key."),
    "keyspace_misses": _instance_counter("keyspace_misses_total", "Reads that found no key."),
    "total_commands_processed": _instance_counter("commands_processed_total", "Commands that were carried out."),
    "total_net_input_bytes": _instance_counter("net_input_bytes_total", "Bytes received."),
    "total_net_output_bytes": _instance_counter("net_output_bytes_total", "Bytes sent."),
    "connected_slaves": _instance_gauge("connected_slaves", "Replicas that are connected."),
    "master_repl_offset": _instance_gauge("master_repl_offset", "How much of the history of writes there is."),
    "repl_backlog_size": _instance_gauge("replication_backlog_bytes", "Size of the backlog for replicas."),
    "sync_full": _instance_gauge("replica_resyncs_full", "Full copies sent to replicas; it only grows."),
    "aof_current_size": _instance_gauge("aof_current_size_bytes", "Size of the append-only file."),
    "latest_fork_usec": _instance_gauge("latest_fork_usec", "Microseconds that the last fork took."),
    "acl_access_denied_auth": _instance_counter("acl_access_denied_auth_total", "Logins that were refused."),
}
"""The families that a field of Valkey's `INFO` fills as it is, by that field."""

TOOLHIVE_COMMANDS: Final = frozenset(
    (
        "auth",
        "del",
        "eval",
        "evalsha",
        "exec",
        "exists",
        "expire",
        "get",
        "getex",
        "hello",
        "hmget",
        "hset",
        "mget",
        "multi",
        "pexpire",
        "ping",
        "pttl",
        "sadd",
        "set",
        "smembers",
        "srem",
        "time",
        "ttl",
        "zadd",
        "zrange",
    )
)
"""What ToolHive's proxies and auth servers send (0.63: `pkg/transport/session`, `pkg/ratelimit`, `pkg/authserver`).
`SCAN`, by which an auth server begins, is not among them: the reconciler's own, to count sessions, are many more."""
OTHER_COMMANDS: Final = "other"

STORAGE_FAMILIES: Final = (
    INFO,
    CONDITION,
    LOOKED_AT,
    SYNCED_REPLICAS,
    REPLICA_LAG,
    WRITES_PAUSED,
    PRIMARY_CHANGES,
    FAILOVER_SECONDS,
    PROBES,
    PROBE_SECONDS,
    PASSWORD_AGE,
    ROTATION_INTERVAL,
    ROTATION_PHASE,
    CONSUMERS,
    SESSIONS,
    SESSIONS_COUNTED,
    MEMORY_PER_SESSION,
    UP,
    INSTANCE_INFO,
    *BY_FIELD.values(),
    DB_KEYS,
    DB_KEYS_EXPIRING,
    COMMANDS,
    COMMANDS_DURATION,
    MASTER_LINK_UP,
    SLAVE_REPL_OFFSET,
    AOF_LAST_WRITE,
    AOF_LAST_REWRITE,
)
"""Every family that has series for storages, in the order of the page; `IS_LEADER` comes before them."""
