"""The difference of two JSON objects as a minimal RFC 6902 patch. Pure.

Other webhooks patch the same object. So a patch never replaces a whole object or array: it changes arrays entry by
entry, and has no `test` operations, which would refuse an object that another webhook has changed meanwhile.
`null` counts as absent, as it does for the API server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.objects.field_path import escaped

if TYPE_CHECKING:
    from shared.objects.resources import Object


def diff(before: Object, after: Object) -> list[Object]:
    """List the operations that turn one object into another.

    It skips parts that both objects share by identity, so that the difference of a copy-on-write edit costs no more
    than the edit itself.
    """
    operations: list[Object] = []
    _objects(before, after, "", operations)
    return operations


def _objects(before: Object, after: Object, path: str, operations: list[Object]) -> None:
    for key, value in after.items():
        old = before.get(key)
        if value is old:
            continue
        place = f"{path}/{escaped(key)}"
        if value is None:
            operations.append({"op": "remove", "path": place})
        elif old is None:
            operations.append({"op": "add", "path": place, "value": value})
        else:
            _value(old, value, place, operations)
    if not before.keys() <= after.keys():
        gone = [key for key in before if key not in after and before[key] is not None]
        operations += [{"op": "remove", "path": f"{path}/{escaped(key)}"} for key in gone]


def _value(old: Any, new: Any, path: str, operations: list[Object]) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        _objects(old, new, path, operations)
    elif isinstance(old, list) and isinstance(new, list):
        _arrays(old, new, path, operations)
    elif not _is_same(old, new):
        operations.append({"op": "replace", "path": path, "value": new})


def _arrays(before: list[Any], after: list[Any], path: str, operations: list[Object]) -> None:
    """Remove the entries that are gone, add the new ones, and compare the ones that stayed."""
    stayed = _stayed(before, after)
    kept = set(stayed.values())
    gone = [index for index in range(len(before) - 1, -1, -1) if index not in kept]
    operations += [{"op": "remove", "path": f"{path}/{index}"} for index in gone]
    length = len(stayed)
    for index, entry in enumerate(after):
        if index not in stayed:
            place = index if index < length else "-"
            operations.append({"op": "add", "path": f"{path}/{place}", "value": entry})
            length += 1
    for index, old in stayed.items():
        if before[old] is not after[index]:
            _value(before[old], after[index], f"{path}/{index}", operations)


def _stayed(before: list[Any], after: list[Any]) -> dict[int, int]:
    """Map the new index of each entry that is in both arrays to its old one; both ascend."""
    stayed: dict[int, int] = {}
    start = 0
    for old, entry in enumerate(before):
        for index in range(start, len(after)):
            if _is_same_entry(entry, after[index]):
                stayed[index] = old
                start = index + 1
                break
    return stayed


def _is_same_entry(old: Any, new: Any) -> bool:
    """Tell whether two array entries are versions of one entry: they have one name, or are equal."""
    if old is new:
        return True
    if isinstance(old, dict) and isinstance(new, dict) and isinstance(old.get("name"), str):
        return bool(old["name"] == new.get("name"))
    return _is_same(old, new)


def _is_same(old: Any, new: Any) -> bool:
    # To Python, True equals 1 and 1 equals 1.0; to a typed API they differ.
    return type(old) is type(new) and old == new
