"""Decides whether a storage may be deleted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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


def decide(
    request: AdmissionRequest, usages: Callable[[Key], tuple[Usage, ...]], namespaces: Mapping[Key, Object]
) -> Decision:
    """Refuse to delete a storage that consumers use, unless its owner forces it or its namespace is being deleted.

    Args:
        request: A DELETE; it has an old object only.
        usages: Tells who uses a storage.
        namespaces: Every namespace that is known.
    """
    storage = request.old_object
    if request.operation != "DELETE" or request.subresource or storage is None:
        return Allow()
    namespace, name = request.namespace, storage["metadata"].get("name") or ""
    if read(storage, _FORCE) == "true" or is_terminating(namespaces.get(("", namespace))):
        return Allow()
    staying = [str(usage.consumer) for usage in usages((namespace, name)) if not usage.is_terminating]
    if not staying:
        return Allow()
    more = f" and {len(staying) - LISTED_CONSUMERS} more" if len(staying) > LISTED_CONSUMERS else ""
    problem = (
        f'SessionStorage "{namespace}/{name}" is used by {", ".join(staying[:LISTED_CONSUMERS])}{more}: remove their'
        f" references first, or force it: kubectl annotate sessionstorage {name} -n {namespace}"
        f" {ANNOTATION_FORCE_DELETE}=true"
    )
    return Deny((problem,), reason="Conflict")
