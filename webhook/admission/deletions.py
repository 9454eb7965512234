"""Decides whether a storage may be deleted. Pure.

A refusal names consumers. Anybody who reaches the webhook's port can send it a review that no API server wrote, so the
webhook answers only those who know the storage's uid: an API server sends it along, and nobody can guess it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from shared.names import ANNOTATION_FORCE_DELETE
from shared.objects.field_path import read
from shared.objects.resources import is_terminating
from webhook.admission.review import Allow, Deny

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.consumers.identity import Usage
    from shared.objects.resources import Key, Object
    from webhook.admission.review import AdmissionRequest, Decision

_FORCE: Final = ("metadata", "annotations", ANNOTATION_FORCE_DELETE)
LISTED_CONSUMERS: Final = 10
"""How many consumers a refusal names; it counts the rest."""


class NamedStorage(NamedTuple):
    """The storage that a request is about to delete, as the request describes it."""

    key: Key
    uid: str

    def is_known(self, storages: Mapping[Key, Object]) -> bool:
        """Tell whether a storage of this name has this uid."""
        stored = storages.get(self.key)
        return bool(self.uid) and stored is not None and stored["metadata"].get("uid") == self.uid


def storage_of(request: AdmissionRequest) -> NamedStorage | None:
    """Tell which storage a request is about to delete; None if it deletes none."""
    storage = request.old_object
    if request.operation != "DELETE" or request.subresource or storage is None:
        return None
    metadata = storage["metadata"]
    return NamedStorage((request.namespace, metadata.get("name") or ""), str(metadata.get("uid") or ""))


def decide(
    request: AdmissionRequest,
    storages: Mapping[Key, Object],
    usages: Callable[[Key], tuple[Usage, ...]],
    namespaces: Mapping[Key, Object],
) -> Decision:
    """Refuse to delete a storage that consumers use, unless its owner forces it or its namespace is being deleted.

    Args:
        request: A DELETE; it has an old object only.
        storages: Every known SessionStorage.
        usages: Tells who uses a storage.
        namespaces: Every namespace that is known.
    """
    storage, stored = storage_of(request), request.old_object
    if storage is None or stored is None or not storage.is_known(storages):
        return Allow()
    namespace, name = storage.key
    if read(stored, _FORCE) == "true" or is_terminating(namespaces.get(("", namespace))):
        return Allow()
    staying = [str(usage.consumer) for usage in usages(storage.key) if not usage.is_terminating]
    if not staying:
        return Allow()
    more = f" and {len(staying) - LISTED_CONSUMERS} more" if len(staying) > LISTED_CONSUMERS else ""
    problem = (
        f'SessionStorage "{namespace}/{name}" is used by {", ".join(staying[:LISTED_CONSUMERS])}{more}: remove their'
        f" references first, or force it: kubectl annotate sessionstorage {name} -n {namespace}"
        f" {ANNOTATION_FORCE_DELETE}=true"
    )
    return Deny((problem,), reason="Conflict")
