"""What redis_exporter's dashboard asks Prometheus for (its file `contrib/grafana_prometheus_redis_dashboard.json`).

People have that dashboard, or one made of it, so our series must answer it. Its variable `instance` lists the label of
that name; with our series that is the reconciler's address.
"""

from __future__ import annotations

from typing import Final

_ONE: Final = '{instance=~"$instance"}'


def _sum(series: str, by: str = "") -> str:
    grouped = f" by ({by})" if by else ""
    return f"sum({series}){grouped}"


def _redis(name: str) -> str:
    return f"redis_{name}{_ONE}"


def _growth(name: str, function: str = "rate", window: str = "5m") -> str:
    return f"{function}({_redis(name)}[{window}])"


_SPENT: Final = _sum(_growth("commands_duration_seconds_total", "irate", "1m"), "cmd")
QUERIES: Final = {
    "Max Uptime": f"max(max_over_time({_redis('uptime_in_seconds')}[1m]))",
    "Clients": _sum(_redis("connected_clients")),
    "Memory Usage": f"sum(100 * ({_redis('memory_used_bytes')} / {_redis('memory_max_bytes')}))",
    "Total Commands / sec": _sum(_growth("commands_total", window="1m"), "cmd"),
    "Hits": _growth("keyspace_hits_total", "irate"),
    "Misses": _growth("keyspace_misses_total", "irate"),
    "Memory: used": _redis("memory_used_bytes"),
    "Memory: max": _redis("memory_max_bytes"),
    "Network I/O: input": _sum(_growth("net_input_bytes_total")),
    "Network I/O: output": _sum(_growth("net_output_bytes_total")),
    "Total Items per DB": _sum(_redis("db_keys"), "db, instance"),
    "Not expiring": f"{_sum(_redis('db_keys'), 'instance')} - {_sum(_redis('db_keys_expiring'), 'instance')}",
    "Expiring": _sum(_redis("db_keys_expiring"), "instance"),
    "Expired": _sum(_growth("expired_keys_total"), "instance"),
    "Evicted": _sum(_growth("evicted_keys_total"), "instance"),
    "Connected clients": _sum(_redis("connected_clients")),
    "Blocked clients": _sum(_redis("blocked_clients")),
    "Average Time Spent by Command": f"{_SPENT} / {_sum(_growth('commands_total', 'irate', '1m'), 'cmd')}",
    "Total Time Spent by Command": f"{_SPENT} != 0",
}
"""Its 19 queries, by what they show."""
LEAST: Final = 17
"""How many must have an answer."""
