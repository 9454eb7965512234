"""Words the refusal of a reference to a storage that its author may not use. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from shared.consumers.reference import ANNOTATION_PATH, FIELD_PATH
from shared.objects.field_path import dotted, shown
from shared.objects.resources import SESSION_STORAGES

if TYPE_CHECKING:
    from shared.consumers.reference import StorageReference
    from shared.objects.resources import Object


def refusal(user: Object, consumer: Object, reference: StorageReference, *, may_use: bool | None) -> str:
    """Say why the reference is refused, and what its author can do.

    Args:
        user: `userInfo` of the author.
        consumer: The consumer that refers to the storage.
        reference: The storage.
        may_use: False if the author lacks the right; None if the API server did not say.
    """
    path = dotted(FIELD_PATH if reference.is_by_field else ANNOTATION_PATH)
    if may_use is None:
        return (
            f'{path}: Forbidden: the API server did not say in time whether you may use SessionStorage "{reference}":'
            " try again"
        )
    username, namespace = str(user.get("username")), reference.namespace
    role = f"use-{reference.name}"
    return (
        f'{path}: Forbidden: user {shown(username)} may not use SessionStorage "{reference}" from namespace'
        f' "{consumer["metadata"]["namespace"]}": its owner can add this namespace to spec.allowedNamespaces of the'
        f" storage, or give this user the right: kubectl create role {role} -n {namespace} --verb=use"
        f" --resource={SESSION_STORAGES.plural}.{SESSION_STORAGES.group} --resource-name={reference.name};"
        f" kubectl create rolebinding {role} -n {namespace} --role={role} --user={shlex.quote(username)}"
    )
