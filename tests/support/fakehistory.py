"""What a Valkey server in memory holds, and whom it follows; a replica that is not held up has each write at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

_lineages = itertools.count(1)


def _lineage() -> str:
    return f"{next(_lineages):040x}"


@dataclass
class FakeHistory:
    """A server's part in a history of writes.

    Attributes:
        disk: Keys; what the server holds, it also has on its disk.
        lineage: Of which history they are the outcome.
        former: Of which it is the continuation.
        offset: How much of it there is; 0 says that nobody has followed it yet.
        upstream: Host that it follows; empty for a primary.
        password: By which it logs in there.
        fence: Replicas without which it takes no writes.
        pause: Milliseconds for which it lets writes wait; no time passes, a test ends them.
        is_held_up: Whether it takes in nothing from its primary.
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
        """Become as another one is: go on from where it is, or begin anew, which comes to the same."""
        other.offset = max(other.offset, 1)
        self.disk.clear()
        self.disk |= other.disk
        self.lineage, self.former, self.offset = other.lineage, other.former, other.offset
