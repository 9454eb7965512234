"""Which namespaces may use a storage. Pure.

A storage's owner shares it with namespaces (`spec.allowedNamespaces`) or with users: a user with the verb `use` on it
can refer to it from any namespace. The webhook checks that right by SubjectAccessReview and records it on the consumer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.objects.field_path import read
from shared.session_storage.validation import ALL_NAMESPACES

if TYPE_CHECKING:
    from shared.consumers.identity import Usage
    from shared.objects.resources import Object

UNADMITTED: Final = frozenset({"kube-system"})
"""Namespaces for which the API server does not call the webhook, so that nobody has checked their objects."""


def is_shared_with(storage: Object, namespace: str) -> bool:
    """Tell whether every consumer in a namespace may use a storage."""
    if namespace == storage["metadata"]["namespace"]:
        return True
    allowed = read(storage, ("spec", "allowedNamespaces"))
    if namespace in UNADMITTED or not isinstance(allowed, list):
        return False
    return namespace in allowed or ALL_NAMESPACES in allowed


def is_admitted(storage: Object, usage: Usage) -> bool:
    """Tell whether a consumer may use a storage: its namespace may, or the author of its reference had the right."""
    namespace = usage.consumer.namespace
    return is_shared_with(storage, namespace) or (usage.is_granted and namespace not in UNADMITTED)
