"""The difference of two JSON objects as a minimal RFC 6902 patch. Pure.

Made for admission: other webhooks have a say too, so nothing is replaced wholesale, arrays are changed entry by
entry, and there are no `test` operations, which would refuse an object that somebody else has changed meanwhile.
`null` counts as absent, as it does for the API server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.fieldpath import pointer

if TYPE_CHECKING:
    from shared.resources import Object


def diff(before: Object, after: Object) -> list[Object]:
    """List the operations that turn one object into another.

    Parts that both objects share by identity are not looked at, so a patch of a copy-on-write edit costs no more
    than the edit itself.
    """
    operations: list[Object] = []
    _objects(before, after, "", operations)
    return operations


def _objects(before: Object, after: Object, path: str, operations: list[Object]) -> None:
    for key, value in after.items():
        old = before.get(key)
        if value is not None and value is not old:
            _value(old, value, path + pointer((key,)), operations)
    for key, old in before.items():
        if old is not None and after.get(key) is None:
            operations.append({"op": "remove", "path": path + pointer((key,))})


def _value(old: Any, new: Any, path: str, operations: list[Object]) -> None:
    match old, new:
        case dict(), dict():
            _objects(old, new, path, operations)
        case list(), list():
            _arrays(old, new, path, operations)
        case None, _:
            operations.append({"op": "add", "path": path, "value": new})
        case _ if not _is_same(old, new):
            operations.append({"op": "replace", "path": path, "value": new})


def _arrays(before: list[Any], after: list[Any], path: str, operations: list[Object]) -> None:
    """Keep what both arrays begin and end with; take out and put in what is between."""
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and _is_same_entry(before[head], after[head]):
        head += 1
    tail = 0
    while tail < shorter - head and _is_same_entry(before[-1 - tail], after[-1 - tail]):
        tail += 1
    gone, come = range(head, len(before) - tail), range(head, len(after) - tail)
    operations += [{"op": "remove", "path": f"{path}/{index}"} for index in reversed(gone)]
    operations += [{"op": "add", "path": f"{path}/{index if tail else '-'}", "value": after[index]} for index in come]
    kept = [(index, index) for index in range(head)]
    kept += [(len(before) - back, len(after) - back) for back in range(tail, 0, -1)]
    for old, new in kept:
        if before[old] is not after[new]:
            _value(before[old], after[new], f"{path}/{new}", operations)


def _is_same_entry(old: Any, new: Any) -> bool:
    """Tell whether two array entries are versions of one thing: named alike, or equal."""
    if old is new:
        return True
    if isinstance(old, dict) and isinstance(new, dict) and isinstance(old.get("name"), str):
        return bool(old["name"] == new.get("name"))
    return _is_same(old, new)


def _is_same(old: Any, new: Any) -> bool:
    # To Python, True is 1 and 1 is 1.0; to a typed API they differ.
    return type(old) is type(new) and old == new
