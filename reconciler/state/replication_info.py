"""What a Valkey instance says of its replication, and what follows from that alone. Pure.

Offsets compare only within one lineage (Valkey's `master_replid`): a server that starts anew begins another one, with
an offset near nothing, however much data it has read from its disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIMARY: Final = "master"
REPLICA: Final = "slave"
_LINE: Final = re.compile(r"^(\w+):([^\r\n]*)", re.MULTILINE)
_COMPOUND: Final = re.compile(r"(slave|db)\d+")
_NO_LINEAGE: Final = "0" * 40
"""How `master_replid2` says that there is none."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A replica, as its primary sees it.

    Attributes:
        host: Where it comes from.
        is_online: Whether it has been sent everything there was when it came. It may get what was written since only
            up to a second later, when it has said that it has all that.
        offset: What it has acknowledged; it says so once a second.
        lag: Seconds since it last said so.
    """

    host: str
    is_online: bool
    offset: int
    lag: int


@dataclass(frozen=True, slots=True)
class Replication:
    """Valkey's `INFO replication`, and how many keys there are.

    Attributes:
        lineage: Which history of writes the instance's data is a part of.
        former_lineage: Of which the present one is the continuation, as after a promotion; empty if of none.
        offset: How much of the history the instance has.
        upstream: Host that a replica was told to follow; empty for a primary.
        is_linked: Whether a replica is connected with it and up to date.
        is_streaming: Whether a replica has got anything that was written since it was given everything there was;
            its primary's next sign of life, within a second, is such a thing.
        silence: Seconds since a replica last heard of it; None if it never did, or is not linked.
        down_for: Seconds since a replica lost its link; None if it has one, or never had.
        replicas: Of a primary; of a replica, those that follow it in turn.
        keys: In all databases.
    """

    lineage: str = ""
    former_lineage: str = ""
    offset: int = 0
    upstream: str = ""
    is_linked: bool = False
    is_streaming: bool = False
    silence: int | None = None
    down_for: int | None = None
    replicas: tuple[Attached, ...] = ()
    keys: int = 0

    @property
    def has_history(self) -> bool:
        """Whether an instance has had part in a history since its server started, so that its offset says something."""
        return self.offset > 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be lost with it."""
        return self.keys == 0

    def attached(self, host: str) -> Attached | None:
        """Find a replica by its address."""
        return next((each for each in self.replicas if each.host == host), None)


def info_from(text: str) -> dict[str, Any]:
    """Read a reply to INFO: values by name, and by name again those of a replica or a database."""
    found: dict[str, Any] = dict(_LINE.findall(text))
    for name in [name for name, value in found.items() if "=" in value and _COMPOUND.fullmatch(name)]:
        found[name] = dict(pair.split("=", 1) for pair in found[name].split(","))
    return found


def replication_from(info: Mapping[str, Any]) -> Replication:
    """Pick what is about replication and keys out of a reply to INFO."""
    linked = info.get("master_link_status") == "up"
    former = str(info.get("master_replid2", ""))
    return Replication(
        lineage=str(info.get("master_replid", "")),
        former_lineage="" if former == _NO_LINEAGE else former,
        offset=int(info.get("master_repl_offset", 0)),
        upstream=str(info.get("master_host", "")),
        is_linked=linked,
        is_streaming=linked and int(info.get("repl_backlog_histlen", 0)) > 0,
        silence=_seconds(info.get("master_last_io_seconds_ago")) if linked else None,
        down_for=_seconds(info.get("master_link_down_since_seconds")),
        replicas=tuple(
            Attached(str(each["ip"]), each.get("state") == "online", int(each["offset"]), int(each["lag"]))
            for number in range(int(info.get("connected_slaves", 0)))
            if isinstance(each := info.get(f"slave{number}"), dict)
        ),
        keys=sum(int(each["keys"]) for name, each in info.items() if _is_database(name) and isinstance(each, dict)),
    )


def _is_database(name: str) -> bool:
    return name.startswith("db") and name[2:].isdigit()


def _seconds(value: object) -> int | None:
    """Read a time that Valkey gives as -1 when there is none."""
    seconds = int(str(value)) if value is not None else -1
    return seconds if seconds >= 0 else None
