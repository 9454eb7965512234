"""Whether an object already is what it should be. Pure.

A steady state must write nothing, so the reconciler compares the fields that are ours with what exists before it
applies them. Defaults and other managers' fields may stand beside ours, but not where the API replaces a value whole
("atomic" in server-side apply).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from reconciler.actions.kubernetes import Apply, Replace, Write
from reconciler.plan.inheritance import FIELDS, disinherited
from reconciler.state.write_outcome import Deviation, digest
from shared import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
"""Keys that open an instance or its network to others, wherever they stand but in metadata, unless the reconciler put
them there."""


def deviations(desired: Any, observed: Any) -> Iterator[Deviation]:
    """Find where `observed` is not what `desired` says: what applying `desired` would change, and what others added."""
    if isinstance(desired, dict):
        yield from _of_dict(desired, observed) if isinstance(observed, dict) else [_here(observed)]
    elif isinstance(desired, list):
        # The API server writes some empty lists as null, such as the endpoints of an EndpointSlice.
        yield from _of_list(desired, observed or []) if isinstance(observed, list | None) else [_here(observed)]
    elif desired != observed:
        yield _here(observed)


def is_covered(desired: Any, observed: Any) -> bool:
    """Tell whether applying `desired`, an object or a part of one, would change nothing in `observed`."""
    return all(each.is_addition for each in deviations(desired, observed))


def has_additions(desired: Object, observed: Object) -> bool:
    """Tell whether `observed` has something that `desired` lacks, where nothing may be added."""
    return any(each.is_addition for each in deviations(desired, observed))


def differences(desired: Object, present: Object) -> Iterator[Deviation]:
    """Find where an object is not what it should be: `deviations`, and what it is to inherit no more."""
    yield from deviations(desired, present)
    for field, keys in disinherited(desired, present).items():
        for key in sorted(keys):
            yield Deviation(("metadata", field, key), digest(present["metadata"][field][key]))


def repair(resource: Resource, desired: Object, present: Object | None) -> Apply | Replace:
    """Say how an object becomes what it should be, in whatever version it is."""
    if present is not None and (has_additions(desired, present) or disinherited(desired, present)):
        # All of it at once: what one write leaves as it was counts as what others want.
        return Replace(resource, present | desired | {"metadata": merged(desired, present)["metadata"]}, desired)
    return Apply(resource, desired)


def repair_if_unchanged(resource: Resource, desired: Object, present: Object | None) -> Write:
    """Say how an object becomes what it should be, provided it still is what the observer saw.

    With server-side apply, a former leader that decides by outdated objects could overwrite what its successor wrote.
    """
    if present is None:
        return Write(resource, desired, desired)
    return Write(resource, merged(desired, present), desired)


def merged(desired: Object, present: Object) -> Object:
    """Build the next version of an object: others keep their labels and annotations, and nothing else."""
    former, wanted, gone = present["metadata"], desired["metadata"], disinherited(desired, present)
    both = {
        field: {key: value for key, value in (former.get(field) or {}).items() if key not in gone.get(field, ())}
        | wanted.get(field, {})
        for field in FIELDS
    }
    others = {field: value for field, value in {**former, **wanted}.items() if field not in FIELDS}
    metadata = others | {field: value for field, value in both.items() if value}
    return {**desired, **_assigned(desired, present), "metadata": metadata}


def managers_of(obj: Object, path: Sequence[str]) -> frozenset[str]:
    """Name the field managers that own a field of an object, beside this project's own.

    Nobody else owns what an admission webhook or policy changes: the API server counts it to whoever wrote the object,
    or to no manager. The name of one that replaces an object is the beginning of its user agent.
    """
    entries = obj["metadata"].get("managedFields") or []
    owning = (entry for entry in entries if _owns(entry.get("fieldsV1"), path))
    managers = (str(entry.get("manager", "")) for entry in owning)
    return frozenset(each for each in managers if each and not each.startswith(names.FIELD_MANAGER))


def _assigned(desired: Object, present: Object) -> Object:
    """Keep what the API server added to a spec and lets nobody take away, such as a Service's address."""
    if "spec" not in desired or "spec" not in present:
        return {}
    kept = {key: value for key, value in present["spec"].items() if key not in UNWANTED}
    return {"spec": {**kept, **desired["spec"]}}


def _of_dict(desired: Object, observed: Object) -> Iterator[Deviation]:
    for key in UNWANTED - desired.keys():
        if value := observed.get(key):
            yield Deviation((key,), digest(value), is_addition=True)
    for key, value in desired.items():
        found = observed.get(key)
        if key == "metadata":
            yield from _beneath(key, _of_metadata(value, found))
            continue
        if key in CLOSED:
            for name in _keys(found) - _keys(value):
                yield Deviation((key, name), digest(found), is_addition=True)
        within = deviations(value, found)
        if key in ATOMIC:
            if not _same(value, found):
                yield Deviation((key,), digest(found))
            within = (each for each in within if each.is_addition)
        yield from _beneath(key, within)


def _of_metadata(desired: Any, observed: Any) -> Iterator[Deviation]:
    """Find where metadata is not what it should be; others may add any label, whatever a field of that name means."""
    if not (isinstance(desired, dict) and isinstance(observed, dict)):
        yield from deviations(desired, observed)
        return
    for key, value in desired.items():
        yield from _beneath(key, _of_metadata(value, observed.get(key)))


def _of_list(desired: list[Any], observed: list[Any]) -> Iterator[Deviation]:
    if _is_keyed(desired) and _is_keyed(observed):
        by_name = {str(item["name"]): item for item in observed}
        for item in desired:
            name = str(item["name"])
            yield from _beneath(name, deviations(item, by_name[name]) if name in by_name else [Deviation()])
    elif len(desired) != len(observed) or not all(map(is_covered, desired, observed)):
        yield _here(observed)


def _here(observed: Any) -> Deviation:
    return Deviation((), digest(observed))


def _beneath(key: str, found: Iterable[Deviation]) -> Iterator[Deviation]:
    # At rest nothing is found, and no path is built.
    return (replace(each, path=(key, *each.path)) for each in found)


def _keys(value: Any) -> set[str]:
    """Name what a map or a list of named items holds; an item without a name counts as an addition."""
    if isinstance(value, list):
        return {str(item.get("name")) if isinstance(item, dict) else str(item) for item in value}
    return set(value) if isinstance(value, dict) else set()


def _owns(fields: Any, path: Sequence[str]) -> bool:
    """Tell whether a manager's fields (`fieldsV1`, structured-merge-diff's "FieldSet") contain one, or a part of it."""
    if not isinstance(fields, dict):
        return False
    for depth, step in enumerate(path):
        below = fields.get(f"f:{step}")
        if below is None:
            below = next((value for key, value in fields.items() if _is_item(key, step)), None)
        if below is None:
            # The items of a list that nobody merges belong to the one who owns the list.
            return depth > 0 and fields == {}
        fields = below
    return True


def _is_item(key: str, name: str) -> bool:
    """Tell whether a key of `fieldsV1` stands for the item of a list that has this name, such as a container."""
    return key.startswith("k:{") and f'"name":"{name}"' in key


def _is_keyed(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, dict) and "name" in item for item in items)


def _same(desired: Any, observed: Any) -> bool:
    """Compare whole values; an empty one equals an absent one, because the API server drops empty ones."""
    if isinstance(desired, dict) and isinstance(observed, dict):
        return desired.keys() == observed.keys() and all(_same(desired[key], observed[key]) for key in desired)
    if isinstance(desired, list) and isinstance(observed, list):
        return len(desired) == len(observed) and all(map(_same, desired, observed))
    return bool(desired == observed) or (not desired and not observed)
