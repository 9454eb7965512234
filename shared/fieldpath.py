"""Fields of a raw Kubernetes object, named by path: read, set and taken away on copies. Pure.

A path is a tuple of steps. In an object a step is a key; in an array it is the `name` of an entry, or the Secret
that an `envFrom` entry reads, so that a path stays true when entries move.
Only what lies on a path is copied: the rest is shared with the original, which never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from shared.errors import InvalidSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.resources import Object

_MAX_SHOWN: Final = 64
"""Characters of a user's text that an error repeats."""

Path: TypeAlias = tuple[str, ...]

ARRAYS: Final = frozenset({"containers", "envFrom"})
"""Keys whose values are arrays; every other value on a path is an object."""


def pointer(path: Path) -> str:
    """Write a path as RFC 6901 does."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)


def path_of(text: str) -> Path:
    """Read what `pointer` wrote."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])


def dotted(path: Path) -> str:
    """Write a path as Kubernetes' field errors do."""
    text = ""
    for index, step in enumerate(path):
        is_entry = index > 0 and path[index - 1] in {*ARRAYS, "labels", "annotations"}
        text += f"[{step}]" if is_entry else f".{step}"
    return text.removeprefix(".")


def shown(value: Any) -> str:
    """Write a user's value as field errors repeat it, cut short; not for values that may hold a password."""
    if isinstance(value, dict | list):
        # Nested a hundred levels deep it could not be written at all.
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, str) and len(value) > _MAX_SHOWN:
        value = value[:_MAX_SHOWN] + "..."
    return orjson.dumps(value).decode()


def read(obj: Object, path: Path) -> Any:
    """Look a field up; None if it, or anything above it, is absent or of another shape."""
    node: Any = obj
    for step in path:
        node = _child(node, step)
        if node is None:
            return None
    return node


def put(obj: Object, path: Path, value: Any, made: list[Path] | None = None) -> Object:
    """Set a field on a copy, making the objects and arrays above it that are absent.

    Args:
        obj: Stays as it is.
        path: Of the field.
        value: Of the field; the last entry, if the field is an array's entry that was absent.
        made: Takes the path of the topmost object or array that had to be made, unless it holds one above that.

    Raises:
        InvalidSpec: Something above the field is there, but is no object or array.
    """
    copy: Object = _put(obj, (), path, value, [] if made is None else made)
    return copy


def without(obj: Object, path: Path) -> Object:
    """Take a field away on a copy; the very object if there is no such field."""
    if read(obj, path) is None:
        return obj
    copy: Object = _without(obj, path)
    return copy


def is_hollow(node: Any, step: str) -> bool:
    """Tell whether an object, array or named entry, which its parent calls `step`, holds nothing."""
    return node in ({}, [], {"name": step})


def is_below(path: Path, tops: Iterable[Path]) -> bool:
    """Tell whether a path is one of these or leads through one of them."""
    return any(path[: len(top)] == top for top in tops)


def _put(node: Any, above: Path, path: Path, value: Any, made: list[Path]) -> Any:
    _check_shape(node, above)
    step, rest = path[0], path[1:]
    if not rest:
        return _with_child(node, step, value)
    child = _child(node, step)
    here = (*above, step)
    if child is not None:
        return _with_child(node, step, _put(child, here, rest, value, made))
    if not is_below(here, made):
        made.append(here)
    return _with_child(node, step, _put(_hollow(node, step), here, rest, value, made))


def _check_shape(node: Any, path: Path) -> None:
    if path and path[-1] in ARRAYS:
        if not isinstance(node, list):
            raise InvalidSpec([f"{dotted(path)}: Invalid value: must be an array"])
    elif not isinstance(node, dict):
        raise InvalidSpec([f"{dotted(path)}: Invalid value: must be an object"])


def _without(node: Any, path: Path) -> Any:
    step, rest = path[0], path[1:]
    if rest:
        return _with_child(node, step, _without(_child(node, step), rest))
    if isinstance(node, list):
        index = _index(node, step)
        return [entry for at, entry in enumerate(node) if at != index]
    return {key: child for key, child in node.items() if key != step}


def _child(node: Any, step: str) -> Any:
    if isinstance(node, dict):
        return node.get(step)
    if isinstance(node, list):
        index = _index(node, step)
        return None if index is None else node[index]
    return None


def _with_child(node: Any, step: str, child: Any) -> Any:
    if isinstance(node, dict):
        return {**node, step: child}
    index = _index(node, step)
    if index is None:
        return [*node, child]
    return [child if at == index else entry for at, entry in enumerate(node)]


def _hollow(parent: Any, step: str) -> Any:
    if isinstance(parent, list):
        return {"name": step}
    return [] if step in ARRAYS else {}


def _index(entries: list[Any], step: str) -> int | None:
    return next((index for index, entry in enumerate(entries) if _is_called(entry, step)), None)


def _is_called(entry: Any, step: str) -> bool:
    if not isinstance(entry, dict):
        return False
    source = entry.get("secretRef")
    if isinstance(source, dict):
        # With a prefix the variables have other names: a different thing.
        return source.get("name") == step and not entry.get("prefix")
    return entry.get("name") == step
