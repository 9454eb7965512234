"""Fields of a raw Kubernetes object, named by path: read, set and removed on copies. Pure.

A path is a tuple of steps. In an object a step is a key; in an array it is the `name` of an entry, or the Secret
that an `envFrom` entry reads, so that a path stays true when entries move.
A change copies only the objects and arrays on its path. The copy shares the rest with the original, which never
changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from shared.errors import InvalidSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.objects.resources import Object

_MAX_SHOWN: Final = 64
"""Characters of a user's text that an error repeats."""

_MAX_LISTED: Final = 5
"""How many unknown fields an error names; an object may have a hundred thousand."""

Path: TypeAlias = tuple[str, ...]

ARRAYS: Final = frozenset({"containers", "envFrom"})
"""Keys whose values are arrays; every other value on a path is an object."""


def pointer(path: Path) -> str:
    """Write a path as a JSON pointer (RFC 6901)."""
    return "/".join(("", *map(escaped, path)))


def escaped(step: str) -> str:
    """Write one step of a JSON pointer."""
    return step.replace("~", "~0").replace("/", "~1")


def path_of(text: str) -> Path:
    """Read a JSON pointer."""
    return tuple([step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]])


def dotted(path: Path) -> str:
    """Write a path as Kubernetes' field errors do."""
    text = ""
    for index, step in enumerate(path):
        is_entry = index > 0 and path[index - 1] in {*ARRAYS, "labels", "annotations"}
        text += f"[{step}]" if is_entry else f".{step}"
    return text.removeprefix(".")


def shown(value: Any) -> str:
    """Write a user's value as field errors repeat it, cut short; never use it for a value that may hold a password."""
    if isinstance(value, dict | list):
        # orjson refuses to write a value that is nested a few hundred levels deep.
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, str) and len(value) > _MAX_SHOWN:
        value = value[:_MAX_SHOWN] + "..."
    return orjson.dumps(value).decode()


def unknown_fields(path: str, keys: Sequence[str]) -> list[str]:
    """Say which fields of an object are not known."""
    listed = [f"{path}: Invalid value: unknown field {shown(key)}" for key in keys[:_MAX_LISTED]]
    more = len(keys) - len(listed)
    return [*listed, f"{path}: Invalid value: {more} more unknown fields"] if more else listed


def read(obj: Object, path: Path) -> Any:
    """Look up a field; None if it, or anything above it, is absent or has another shape."""
    node: Any = obj
    for step in path:
        # Nearly every node is an object, and a call costs as much as the look-up itself.
        node = node.get(step) if isinstance(node, dict) else _child(node, step)
        if node is None:
            return None
    return node


def put(obj: Object, path: Path, value: Any) -> Object:
    """Set a field on a copy, and create the objects and arrays above it that are absent.

    Raises:
        InvalidSpec: As `Draft.put`.
    """
    draft = Draft(obj)
    draft.put(path, value)
    return draft.obj


def without(obj: Object, path: Path) -> Object:
    """Remove a field on a copy; return the same object if it has no such field."""
    draft = Draft(obj)
    draft.remove(path)
    return draft.obj


class Draft:
    """A copy of an object to which several changes are made; each object and array on their paths is copied once.

    Attributes:
        obj: The object with all changes so far; the original itself until the first change.
    """

    __slots__ = ("_copies", "obj")

    def __init__(self, obj: Object) -> None:
        self.obj = obj
        # The copies by their id. The dict keeps them alive, so that no other node can get the id of a copy.
        self._copies: dict[int, Any] = {}

    def put(self, path: Path, value: Any) -> Path | None:
        """Set a field, and create the objects and arrays above it that are absent.

        Args:
            path: Path of the field.
            value: Its value; a new entry of an array becomes the last one.

        Returns:
            Path of the topmost object or array that was created; None if all of them were there.

        Raises:
            InvalidSpec: Something above the field is neither object nor array. Discard the draft then.
        """
        node: Any = self._copied_root()
        for depth, step in enumerate(path[:-1], 1):
            below = node.get(step) if isinstance(node, dict) else _child(node, step)
            if below is None:
                _set_child(node, step, _containing(path, depth, value))
                return path[:depth]
            if id(below) not in self._copies:
                if not isinstance(below, list if step in ARRAYS else dict):
                    shape = "array" if step in ARRAYS else "object"
                    raise InvalidSpec([f"{dotted(path[:depth])}: Invalid value: must be an {shape}"])
                below = self._copied(node, step, below)
            node = below
        _set_child(node, path[-1], value)
        return None

    def remove(self, path: Path) -> None:
        """Remove a field, if there is one."""
        if read(self.obj, path) is None:
            return
        node: Any = self._copied_root()
        for step in path[:-1]:
            below = _child(node, step)
            node = below if id(below) in self._copies else self._copied(node, step, below)
        del node[_index(node, path[-1]) if isinstance(node, list) else path[-1]]

    def _copied_root(self) -> Object:
        if id(self.obj) not in self._copies:
            self.obj = self.obj.copy()
            self._copies[id(self.obj)] = self.obj
        return self.obj

    def _copied(self, node: Any, step: str, below: Any) -> Any:
        copy = below.copy()
        if isinstance(copy, list) is (step in ARRAYS):
            # `remove` may pass through a node of a wrong shape; `put` must still find that node, and refuse it.
            self._copies[id(copy)] = copy
        _set_child(node, step, copy)
        return copy


def is_hollow(node: Any, step: str) -> bool:
    """Tell whether an object, array or named entry, which its parent calls `step`, holds nothing."""
    if isinstance(node, dict):
        return not node or (len(node) == 1 and node.get("name") == step)
    return bool(node == [])


def top_above(path: Path, tops: Iterable[Path]) -> Path | None:
    """Return the first of these paths that is the given one or leads to it; None if none does."""
    return next((top for top in tops if path[: len(top)] == top), None)


def _child(node: Any, step: str) -> Any:
    """Look up one step of a path; None if the node lacks it, or is neither object nor array."""
    if isinstance(node, dict):
        return node.get(step)
    if isinstance(node, list):
        index = _index(node, step)
        return None if index is None else node[index]
    return None


def _set_child(node: Any, step: str, child: Any) -> None:
    if isinstance(node, dict):
        node[step] = child
    elif (index := _index(node, step)) is None:
        node.append(child)
    else:
        node[index] = child


def _containing(path: Path, depth: int, value: Any) -> Any:
    """Create the object or array at a depth of the path, and all below it, down to the field."""
    node: Any = value
    for index in range(len(path) - 1, depth - 1, -1):
        node = [node] if path[index - 1] in ARRAYS else {path[index]: node}
        if index > 1 and path[index - 2] in ARRAYS:
            node = {"name": path[index - 1], **node}
    return node


def _index(entries: list[Any], step: str) -> int | None:
    return next((index for index, entry in enumerate(entries) if _is_called(entry, step)), None)


def _is_called(entry: Any, step: str) -> bool:
    if not isinstance(entry, dict):
        return False
    source = entry.get("secretRef")
    if isinstance(source, dict):
        # With a prefix, the variables have other names: that is another entry.
        return source.get("name") == step and not entry.get("prefix")
    return entry.get("name") == step
