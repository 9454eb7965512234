"""What the server of a Valkey instance says. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from reconciler.credentials import identities
from reconciler.state.replication_info import Replication, replication_from

if TYPE_CHECKING:
    from collections.abc import Mapping


_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What the server of an instance says.

    Attributes:
        role: `master` or `slave`, in Valkey's words.
        server_version: Such as `9.1.2`.
        is_loading: Whether it still reads its data from disk.
        hashes: Of the passwords that each of our users may log in with; None if the reconciler did not ask.
        replication: What it says of its replication.
        fence: It takes no writes without so many replicas (`min-replicas-to-write`).
        is_paused: Whether it holds clients' writes back (`CLIENT PAUSE`).
        upstream_hash: Hash of the password by which it logs in to its primary; empty if it has none.
    """

    role: str
    server_version: str
    is_loading: bool
    hashes: Mapping[str, frozenset[str]] | None = field(default=None, repr=False)
    replication: Replication = field(default_factory=Replication)
    fence: int = 0
    is_paused: bool = False
    upstream_hash: str = field(default="", repr=False)


def facts_from(
    info: Mapping[str, Any],
    hashes: Mapping[str, frozenset[str]] | None = None,
    config: Mapping[str, str] = _NONE,
) -> InstanceFacts:
    """Read the replies to INFO and CONFIG GET."""
    password = config.get("primaryauth", "")
    return InstanceFacts(
        role=str(info.get("role", "")),
        server_version=str(info.get("valkey_version") or info.get("redis_version", "")),
        is_loading=bool(int(info.get("loading", 0))),
        hashes=hashes,
        replication=replication_from(info),
        fence=int(config.get("min-replicas-to-write", 0)),
        is_paused=str(info.get("paused_reason", "none")) != "none",
        upstream_hash=identities.sha256(password) if password else "",
    )
