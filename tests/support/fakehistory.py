"""What a Valkey server in memory holds, and whom it follows; a replica gets each write at once unless held up."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

_lineages = itertools.count(1)


def _lineage() -> str:
    return f"{next(_lineages):040x}"


@dataclass
class FakeHistory:
    """The data set of one server, and its place in a history of writes.

    Attributes:
        disk: Keys; what the server holds, it also has on its disk.
        lineage: The history that led to these keys (Valkey's replication ID).
        former: The history that this one continues (Valkey's second replication ID).
        offset: Length of the history; 0 says that no replica has followed it yet.
        upstream: Host that it follows; empty for a primary.
        password: Password with which it logs in to `upstream`.
        fence: Number of replicas without which it takes no writes.
        pause: Milliseconds for which it lets writes wait; no time passes here, so a test ends the pause.
        is_held_up: Whether it receives nothing from its primary.
    """

    disk: set[str] = field(default_factory=set)
    lineage: str = field(default_factory=_lineage)
    former: str = ""
    offset: int = 0
    upstream: str = ""
    password: str = field(default="", repr=False)
    fence: int = 0
    pause: int = 0
    is_held_up: bool = False

    def add(self, key: str) -> None:
        self.disk.add(key)
        self.offset += 1

    def promote(self) -> None:
        if self.upstream:
            self.upstream, self.former, self.lineage = "", self.lineage, _lineage()

    def copy(self, other: FakeHistory) -> None:
        """Take over the other server's data set; a partial and a full resynchronisation have the same outcome here."""
        other.offset = max(other.offset, 1)
        self.disk.clear()
        self.disk |= other.disk
        self.lineage, self.former, self.offset = other.lineage, other.former, other.offset
