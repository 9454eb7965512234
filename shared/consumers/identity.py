"""The identity of a consumer, and its use of a storage. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from shared.objects.resources import Key, Object


class Consumer(NamedTuple):
    """The identity of a consumer."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Usage:
    """One consumer of a storage.

    Attributes:
        is_granted: Whether somebody with the right to use the storage made the reference.
        is_terminating: Whether it has a deletion timestamp.
        is_wired: Whether the webhook has connected it to this storage.
        key_prefix: The prefix of its sessions' keys, as its `spec.sessionStorage` says; empty if that says nothing.
    """

    consumer: Consumer
    storage: Key
    is_granted: bool = False
    is_terminating: bool = False
    # These two concern those who watch a storage: no pass needs to follow when they change.
    is_wired: bool = field(default=False, compare=False)
    key_prefix: str = field(default="", compare=False)


def consumer_of(obj: Object) -> Consumer:
    """Identify an object of a consumer's kind."""
    metadata = obj["metadata"]
    return Consumer(obj["kind"], metadata.get("namespace", ""), metadata.get("name", ""))
