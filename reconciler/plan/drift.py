"""Whether an object already is what it should be. Pure.

A steady state must write nothing, so the reconciler compares the fields that are ours with what exists before it
applies them. Defaults and other managers' fields may stand beside ours, but not where the API replaces a value whole
("atomic" in server-side apply).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconciler.actions.kubernetes import Apply, Replace, Write

if TYPE_CHECKING:
    from shared.objects.resources import Object, Resource

ATOMIC: Final = frozenset({"selector", "podSelector", "namespaceSelector", "ingress", "egress", "policyTypes"})
"""Keys whose values count as a whole: a foreign label in a selector or one more peer changes their meaning."""


CLOSED: Final = frozenset({"data", "containers", "volumes", "volumeMounts", "ports", "updateStrategy"})
"""Keys below which nobody may add anything: a foreign key in a Secret becomes a variable of every backend, a foreign
container sees the data, and the API refuses a strategy with the settings of another one. Server-side apply leaves such
additions alone, so the reconciler replaces the object."""
UNWANTED: Final = frozenset(
    {
        *("args", "binaryData", "env", "envFrom", "externalIPs", "hostIPC", "hostNetwork", "hostPID", "initContainers"),
        "selector",
    }
)
"""Keys that open an instance or its network to others, wherever they stand, unless the reconciler put them there."""


def is_covered(desired: Any, observed: Any) -> bool:
    """Tell whether applying `desired`, an object or a part of one, would change nothing in `observed`."""
    if isinstance(desired, dict):
        return isinstance(observed, dict) and all(
            _same(value, observed.get(key)) if key in ATOMIC else is_covered(value, observed.get(key))
            for key, value in desired.items()
        )
    if isinstance(desired, list):
        # The API server writes some empty lists as null, such as the endpoints of an EndpointSlice.
        return isinstance(observed, list | None) and _list_covered(desired, observed or [])
    return bool(desired == observed)


def has_additions(desired: Object, observed: Object) -> bool:
    """Tell whether `observed` has something that `desired` lacks, where nothing may be added."""
    return any(observed.get(key) for key in UNWANTED - desired.keys()) or any(
        (key in CLOSED and bool(_keys(observed.get(key)) - _keys(value))) or _has_additions(value, observed.get(key))
        for key, value in desired.items()
    )


def is_right(desired: Object, present: Object) -> bool:
    """Tell whether an object is what it should be: it has all that is ours, and no additions where none may be."""
    return is_covered(desired, present) and not has_additions(desired, present)


def repair(resource: Resource, desired: Object, present: Object | None) -> Apply | Replace | None:
    """Say how an object becomes what it should be; None if it is already."""
    if present is not None and has_additions(desired, present):
        content = {key: value for key, value in desired.items() if key != "metadata"}
        return Replace(resource, present | content)
    if present is None or not is_covered(desired, present):
        return Apply(resource, desired)
    return None


def repair_if_unchanged(resource: Resource, desired: Object, present: Object | None) -> Write | None:
    """Say how an object becomes what it should be, provided it still is what the observer saw; None if it is already.

    With server-side apply, a former leader that decides by outdated objects could overwrite what its successor wrote.
    """
    if present is None:
        return Write(resource, desired)
    if is_right(desired, present):
        return None
    merged = {
        field: {**present["metadata"].get(field, {}), **desired["metadata"].get(field, {})}
        for field in ("labels", "annotations")
    }
    metadata = {**present["metadata"], **desired["metadata"], **{key: value for key, value in merged.items() if value}}
    return Write(resource, {**desired, **_assigned(desired, present), "metadata": metadata})


def _assigned(desired: Object, present: Object) -> Object:
    """Keep what the API server added to a spec and lets nobody take away, such as a Service's address."""
    if "spec" not in desired or "spec" not in present:
        return {}
    kept = {key: value for key, value in present["spec"].items() if key not in UNWANTED}
    return {"spec": {**kept, **desired["spec"]}}


def _has_additions(desired: Any, observed: Any) -> bool:
    if isinstance(desired, dict) and isinstance(observed, dict):
        return has_additions(desired, observed)
    if isinstance(desired, list) and isinstance(observed, list) and _is_keyed(desired) and _is_keyed(observed):
        by_name = {item["name"]: item for item in observed}
        return any(has_additions(item, by_name.get(item["name"], {})) for item in desired)
    return False


def _keys(value: Any) -> set[str]:
    """Name what a map or a list of named items holds; an item without a name counts as an addition."""
    if isinstance(value, dict):
        return set(value)
    return {str(item.get("name")) if isinstance(item, dict) else str(item) for item in value or []}


def _list_covered(desired: list[Any], observed: list[Any]) -> bool:
    if _is_keyed(desired) and _is_keyed(observed):
        by_name = {item["name"]: item for item in observed}
        return all(is_covered(item, by_name.get(item["name"])) for item in desired)
    return len(desired) == len(observed) and all(map(is_covered, desired, observed))


def _is_keyed(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, dict) and "name" in item for item in items)


def _same(desired: Any, observed: Any) -> bool:
    """Compare whole values; an empty one equals an absent one, because the API server drops empty ones."""
    if isinstance(desired, dict) and isinstance(observed, dict):
        return desired.keys() == observed.keys() and all(_same(desired[key], observed[key]) for key in desired)
    if isinstance(desired, list) and isinstance(observed, list):
        return len(desired) == len(observed) and all(map(_same, desired, observed))
    return bool(desired == observed) or (not desired and not observed)
