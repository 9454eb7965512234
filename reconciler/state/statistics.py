"""What the server of an instance counts and measures, for those who watch it. No decision rests on it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FIGURES: Final = (
    "uptime_in_seconds",
    "connected_clients",
    "maxclients",
    "blocked_clients",
    "rejected_connections",
    "used_memory",
    "used_memory_rss",
    "maxmemory",
    "mem_fragmentation_ratio",
    "evicted_keys",
    "expired_keys",
    "evicted_clients",
    "keyspace_hits",
    "keyspace_misses",
    "total_commands_processed",
    "total_net_input_bytes",
    "total_net_output_bytes",
    "connected_slaves",
    "master_repl_offset",
    "slave_repl_offset",
    "repl_backlog_size",
    "sync_full",
    "aof_current_size",
    "latest_fork_usec",
    "acl_access_denied_auth",
)
"""Fields of `INFO` that are numbers."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
"""With no more digits than 64 bits have: for one number that is out of its range, Prometheus refuses a whole answer,
with all storages in it. The server may be one that somebody has taken over."""
_COUNT: Final = re.compile(r"[0-9]{1,20}")
_COMMAND: Final = "cmdstat_"
_CALLS: Final = re.compile(r"calls=([0-9]{1,20}),usec=([0-9]{1,20}),")
MAX_DATABASES: Final = 16
"""As many as Valkey has by default; each is a label."""
MAX_VERSION: Final = 64
"""How many characters of a version are told."""
_OK: Final = "ok"


class CommandCalls(NamedTuple):
    """How often clients called a command, and how long all calls took."""

    calls: int
    microseconds: int


class DatabaseKeys(NamedTuple):
    """How many keys a database has, and how many of them expire by themselves."""

    name: str
    keys: int
    expiring: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a server counts and measures.

    Attributes:
        figures: Its numbers in Valkey's own notation, by field of `INFO`; a field that it does not have is missing.
        commands: Its commands, by name; of a subcommand, both words with a bar in between.
        databases: Its databases that hold a key.
        valkey_version: Its version.
        redis_version: The version of Redis that it says it can stand in for.
        is_linked: Whether it is linked with its primary; None for a primary.
        aof_write_succeeds: Whether its last write to the append-only file succeeded; None if it does not say.
        aof_rewrite_succeeds: Whether its last rewrite of that file succeeded; None if it does not say.
    """

    figures: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, CommandCalls] = field(default_factory=dict)
    databases: tuple[DatabaseKeys, ...] = ()
    valkey_version: str = ""
    redis_version: str = ""
    is_linked: bool | None = None
    aof_write_succeeds: bool | None = None
    aof_rewrite_succeeds: bool | None = None

    @property
    def used_memory(self) -> int | None:
        """Bytes that the server has allocated; None if it does not say."""
        used = self.figures.get("used_memory", "")
        return int(used) if _COUNT.fullmatch(used) else None


def statistics_from(info: Mapping[str, Any]) -> Statistics:
    """Read a reply to INFO, as `replication_info.info_from` returns it; this leaves out what is not as expected."""
    link = info.get("master_link_status")
    return Statistics(
        figures={name: value for name in FIGURES if _NUMBER.fullmatch(value := str(info.get(name, "")))},
        commands=dict(_commands(info)),
        databases=tuple(islice(_databases(info), MAX_DATABASES)),
        valkey_version=str(info.get("valkey_version", ""))[:MAX_VERSION],
        redis_version=str(info.get("redis_version", ""))[:MAX_VERSION],
        is_linked=None if link is None else link == "up",
        aof_write_succeeds=_succeeds(info.get("aof_last_write_status")),
        aof_rewrite_succeeds=_succeeds(info.get("aof_last_bgrewrite_status")),
    )


def _databases(info: Mapping[str, Any]) -> Iterator[DatabaseKeys]:
    for name, value in info.items():
        if isinstance(value, dict) and "keys" in value:
            keys, expiring = (str(value.get(field, "0")) for field in ("keys", "expires"))
            if _COUNT.fullmatch(keys) and _COUNT.fullmatch(expiring):
                yield DatabaseKeys(name, int(keys), int(expiring))


def _commands(info: Mapping[str, Any]) -> Iterator[tuple[str, CommandCalls]]:
    for name in [name for name in info if name.startswith(_COMMAND)]:
        if counted := _CALLS.match(str(info[name])):
            yield name.removeprefix(_COMMAND), CommandCalls(int(counted[1]), int(counted[2]))


def _succeeds(status: object) -> bool | None:
    return None if status is None else status == _OK
