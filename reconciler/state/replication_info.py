"""What a Valkey instance says of its replication, and what follows from that alone. Pure.

Offsets compare only within one lineage (Valkey's `master_replid`): a server that starts begins another lineage with an
offset near zero, however much data it has read from its disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIMARY: Final = "master"
REPLICA: Final = "slave"
_LINE: Final = re.compile(r"^([\w|-]+):([^\r\n]*)", re.MULTILINE)
_COMPOUND: Final = re.compile(r"(slave|db)\d+")
_NO_LINEAGE: Final = "0" * 40
"""What `master_replid2` says if there is none."""


@dataclass(frozen=True, slots=True)
class AttachedReplica:
    """A replica, as its primary sees it.

    Attributes:
        host: Address from which it connects.
        is_online: Whether the primary has sent it everything there was when it connected. It may receive later writes
            only up to a second after that, once it has acknowledged the copy.
    """

    host: str
    is_online: bool


@dataclass(frozen=True, slots=True)
class Replication:
    """Valkey's `INFO replication`, and how many keys there are.

    Attributes:
        lineage: ID of the history of writes that the instance's data belongs to.
        former_lineage: The lineage that the present one continues, as after a promotion; empty if none.
        offset: How much of the history the instance has.
        upstream: Host that a replica is configured to follow; empty for a primary.
        is_linked: Whether a replica is connected with its upstream and up to date.
        is_copying: Whether a replica is receiving the copy of everything there is, which comes before it is linked.
        is_streaming: Whether a replica has received anything since the copy of everything there was; its primary's next
            PING, within a second, counts.
        silence: Seconds since a replica last heard from its upstream; None if it never did, or is not linked.
        down_for: Seconds since a replica lost its link; None if it has one, or never had.
        replicas: The replicas that follow this instance, which may itself be a replica.
        good_replicas: How many of them count for its fence, because they follow it and spoke within
            `min-replicas-max-lag` (Valkey's `min_slaves_good_slaves`). Without a fence Valkey does not count, and these
            are the replicas that are online.
        keys: Number of keys in all databases.
        ending_keys: How many of them have an end (Valkey's `expires`).
    """

    lineage: str = ""
    former_lineage: str = ""
    offset: int = 0
    upstream: str = ""
    is_linked: bool = False
    is_copying: bool = False
    is_streaming: bool = False
    silence: int | None = None
    down_for: int | None = None
    replicas: tuple[AttachedReplica, ...] = ()
    good_replicas: int = 0
    keys: int = 0
    ending_keys: int = 0

    @property
    def has_history(self) -> bool:
        """Whether the instance has followed, or led, a history since its server started, so that its offset counts."""
        return self.offset > 0

    @property
    def is_empty(self) -> bool:
        """Whether it has no key, so that nothing would be lost with it."""
        return self.keys == 0

    @property
    def has_lasting_keys(self) -> bool:
        """Whether some key has no end."""
        return self.keys > self.ending_keys

    def has_all_of(self, primary: Replication) -> bool:
        """Tell whether this replica is linked, and has every write that a primary had."""
        return self.is_linked and self.lineage == primary.lineage and self.offset >= primary.offset

    def attached(self, host: str) -> AttachedReplica | None:
        """Find a replica by its address."""
        return next((each for each in self.replicas if each.host == host), None)


def info_from(text: str) -> dict[str, Any]:
    """Read a reply to INFO: values by name; the value of a replica or a database is again a mapping."""
    found: dict[str, Any] = dict(_LINE.findall(text))
    for name in [name for name, value in found.items() if "=" in value and _COMPOUND.fullmatch(name)]:
        found[name] = dict(pair.split("=", 1) for pair in found[name].split(","))
    return found


def replication_from(info: Mapping[str, Any]) -> Replication:
    """Read the parts of a reply to INFO that are about replication and keys."""
    linked = info.get("master_link_status") == "up"
    former = str(info.get("master_replid2", ""))
    replicas = tuple(
        AttachedReplica(str(each["ip"]), each.get("state") == "online")
        for number in range(int(info.get("connected_slaves", 0)))
        if isinstance(each := info.get(f"slave{number}"), dict)
    )
    return Replication(
        lineage=str(info.get("master_replid", "")),
        former_lineage="" if former == _NO_LINEAGE else former,
        offset=int(info.get("master_repl_offset", 0)),
        upstream=str(info.get("master_host", "")),
        is_linked=linked,
        is_copying=str(info.get("master_sync_in_progress", 0)) != "0",
        is_streaming=linked and int(info.get("repl_backlog_histlen", 0)) > 0,
        silence=_seconds(info.get("master_last_io_seconds_ago")) if linked else None,
        down_for=_seconds(info.get("master_link_down_since_seconds")),
        replicas=replicas,
        good_replicas=int(info.get("min_slaves_good_slaves", sum(replica.is_online for replica in replicas))),
        keys=_in_all_databases(info, "keys"),
        ending_keys=_in_all_databases(info, "expires"),
    )


def _in_all_databases(info: Mapping[str, Any], field: str) -> int:
    """Add up what each database says of its keys."""
    # Only what `info_from` read as a compound is a mapping: a replica, or a database such as `db0`.
    return sum(int(each[field]) for each in info.values() if isinstance(each, dict) and field in each)


def _seconds(value: object) -> int | None:
    """Read a time that Valkey gives as -1 when there is none."""
    seconds = int(str(value)) if value is not None else -1
    return seconds if seconds >= 0 else None
