"""What caches keep of objects: all that a decision reads, and all that a later write sends back. Pure.

`managedFields` names every field of an object once more, and makes up to half of it. It is read in three places alone:
`last_written` reads when each manager wrote, `plan.drift.managers_of` which fields others own, and
`controllers.toolhive.disowning` which entries are this project's. No write sends it (`Cluster.replace`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared import names

if TYPE_CHECKING:
    from shared.objects.resources import Object

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""Where `kubectl apply` repeats the whole object."""
_OF_AN_ENTRY: Final = ("manager", "time")


def child(obj: Object) -> Object:
    """Keep a child of a storage: all of it, because its next version is built from this one.

    Of the managers, it keeps when each wrote; and what others own, but for the status, which nobody compares.
    """
    return _with_managers(obj, list(map(_with_fields_of_others, _managers(obj))))


def definition(crd: Object) -> Object:
    """Keep a CustomResourceDefinition; of its managers who they are, in their order, because a write counts them."""
    return _with_managers(crd, list(map(_name_and_time, _managers(crd))))


def pod(obj: Object) -> Object:
    """Keep a pod, without its managers: the reconciler changes only labels of it, and never asks who else did."""
    return _with_managers(obj, [])


def declared(obj: Object) -> Object:
    """Keep what users wrote, such as a SessionStorage or a consumer; the reconciler never sends it back whole.

    The annotation of `kubectl apply` stays, but empty: whoever adds the first annotation writes all of them
    (`controllers.readmission`), and must know that there is one.
    """
    kept = _with_managers(obj, [])
    annotations = kept["metadata"].get("annotations")
    if not annotations or LAST_APPLIED not in annotations:
        return kept
    return {**kept, "metadata": {**kept["metadata"], "annotations": {**annotations, LAST_APPLIED: ""}}}


def _managers(obj: Object) -> list[Object]:
    managers: list[Object] = obj["metadata"].get("managedFields") or []
    return managers


def _with_managers(obj: Object, managers: list[Object]) -> Object:
    metadata = {field: value for field, value in obj["metadata"].items() if field != "managedFields"}
    if managers:
        metadata["managedFields"] = managers
    return {**obj, "metadata": metadata}


def _with_fields_of_others(entry: Object) -> Object:
    fields = entry.get("fieldsV1")
    if str(entry.get("manager", "")).startswith(names.FIELD_MANAGER) or not isinstance(fields, dict):
        return _name_and_time(entry)
    rest = {field: below for field, below in fields.items() if field != "f:status"}
    return _name_and_time(entry) | ({"fieldsV1": rest} if rest else {})


def _name_and_time(entry: Object) -> Object:
    return {field: entry[field] for field in _OF_AN_ENTRY if field in entry}
