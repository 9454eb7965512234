"""Which namespaces may use a storage. Pure.

A storage's owner shares it with namespaces (`spec.allowedNamespaces`), or with people: who may `use` it can refer to
it from anywhere, which the webhook proves by SubjectAccessReview and records on the consumer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.objects.field_path import read
from shared.session_storage.validation import ALL_NAMESPACES

if TYPE_CHECKING:
    from shared.consumers.identity import Usage
    from shared.objects.resources import Object

UNADMITTED: Final = frozenset({"kube-system"})
"""Namespaces that the webhook leaves alone: what stands in their objects has not been judged by anybody."""


def is_shared_with(storage: Object, namespace: str) -> bool:
    """Tell whether every consumer in a namespace may use a storage."""
    if namespace == storage["metadata"]["namespace"]:
        return True
    allowed = read(storage, ("spec", "allowedNamespaces"))
    if namespace in UNADMITTED or not isinstance(allowed, list):
        return False
    return namespace in allowed or ALL_NAMESPACES in allowed


def is_admitted(storage: Object, usage: Usage) -> bool:
    """Tell whether a consumer may use a storage: its namespace may, or who referred it to the storage might."""
    namespace = usage.consumer.namespace
    return is_shared_with(storage, namespace) or (usage.is_granted and namespace not in UNADMITTED)
