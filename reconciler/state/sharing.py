"""Who may use a storage, and the copies of its connection Secret that stand in other namespaces. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from shared import names
from shared.consumers.access import is_admitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.consumers.identity import Consumer, Usage
    from shared.objects.resources import Key, Object


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who uses a storage, and what their namespaces have of its connection Secret.

    Attributes:
        admitted: Consumers that may use the storage.
        refused: Consumers that refer to the storage and may not use it.
        namespaces: Other namespaces that should have a copy of the connection Secret.
        copies: The copies that exist, by namespace; also where nobody needs them any more.
        obstructed: Namespaces where somebody else's Secret has the copy's name.
    """

    admitted: tuple[Consumer, ...] = ()
    refused: tuple[Consumer, ...] = ()
    namespaces: tuple[str, ...] = ()
    copies: Mapping[str, Object] = field(default_factory=dict, repr=False)
    obstructed: tuple[str, ...] = ()

    @classmethod
    def of(cls, storage: Object, usages: Iterable[Usage]) -> Self:
        """Sort consumers by whether they may use a storage; those that are being deleted no longer count."""
        staying = [usage for usage in usages if not usage.is_going]
        admitted = tuple(usage.consumer for usage in staying if is_admitted(storage, usage))
        refused = tuple(usage.consumer for usage in staying if not is_admitted(storage, usage))
        namespaces = {consumer.namespace for consumer in admitted} - {storage["metadata"]["namespace"]}
        return cls(admitted, refused, tuple(sorted(namespaces)))

    def with_secrets(self, storage: Key, secrets: Mapping[str, Object]) -> Self:
        """Add what has the copy's name in other namespaces.

        Args:
            storage: Whose connection Secret is copied.
            secrets: By namespace; other people's too.
        """
        copies = {namespace: secret for namespace, secret in secrets.items() if original_of(secret) == storage}
        return replace(self, copies=copies, obstructed=tuple(sorted(secrets.keys() - copies.keys())))


def original_of(secret: Object) -> Key | None:
    """Tell which storage's connection Secret a Secret is a copy of, by its labels; None if it is no copy."""
    labels = secret["metadata"].get("labels") or {}
    namespace, name = labels.get(names.LABEL_STORAGE_NAMESPACE), labels.get(names.LABEL_STORAGE)
    if labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY or not (namespace and name):
        return None
    return namespace, name
