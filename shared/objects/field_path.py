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
    from collections.abc import Iterable, Mapping

    from shared.objects.resources import Object

_MAX_SHOWN: Final = 64
"""Characters of a user's text that an error repeats."""

Path: TypeAlias = tuple[str, ...]

ARRAYS: Final = frozenset({"containers", "envFrom"})
"""Keys whose values are arrays; every other value on a path is an object."""


def pointer(path: Path) -> str:
    """Write a path as RFC 6901 does."""
    text = "/".join(path)
    # Nearly no key has anything to escape: to see that first takes a fifth of the time.
    if "~" in text or text.count("/") >= len(path):
        text = "/".join(step.replace("~", "~0").replace("/", "~1") for step in path)
    return f"/{text}" if path else ""


def path_of(text: str) -> Path:
    """Read what `pointer` wrote."""
    steps = text.split("/")[1:]
    if "~" not in text:
        return tuple(steps)
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


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
        # Mostly an object; to call `child` costs as much as the look-up itself.
        node = node.get(step) if isinstance(node, dict) else child(node, step)
        if node is None:
            return None
    return node


def put(obj: Object, path: Path, value: Any) -> Object:
    """Set a field on a copy, making the objects and arrays above it that are absent.

    Raises:
        InvalidSpec: As `Draft.put`.
    """
    draft = Draft(obj)
    draft.put(path, value)
    return draft.obj


def without(obj: Object, path: Path) -> Object:
    """Take a field away on a copy; the very object if there is no such field."""
    draft = Draft(obj)
    draft.remove(path)
    return draft.obj


class Draft:
    """An object under way to another: what lies on the paths of its changes is copied, once, and the rest shared.

    A dozen changes copy their common objects once instead of a dozen times, which halves the time of an admission's
    wiring.

    Attributes:
        obj: What has become of the object; the very one as long as nothing has changed.
    """

    __slots__ = ("_own", "obj")

    def __init__(self, obj: Object) -> None:
        self.obj = obj
        # The nodes that are not shared, by id; they are held so that no id can come to mean another node.
        self._own: dict[int, Any] = {}

    def put(self, path: Path, value: Any) -> None:
        """Set a field, making the objects and arrays above it that are absent.

        Args:
            path: Of the field.
            value: Of the field; the last entry, if the field is an array's entry that was absent.

        Raises:
            InvalidSpec: Something above the field is there, but is no object or array. The draft is of no more use.
        """
        self.put_all(path[:-1], {path[-1]: value}, [])

    def put_all(self, above: Path, fields: Mapping[str, Any], made: list[Path]) -> None:
        """Set fields of one object, or entries of one array; making what is absent, unless there are none.

        Args:
            above: Path of the object or array.
            fields: Values by the last step of their paths.
            made: Takes the path of the topmost object or array that had to be made, unless it holds one above that.

        Raises:
            InvalidSpec: As `put`.
        """
        if not fields:
            return
        node: Any = self._owned_root()
        for depth, step in enumerate(above):
            below = node.get(step) if isinstance(node, dict) else child(node, step)
            if below is None:
                if not is_below(above[: depth + 1], made):
                    made.append(above[: depth + 1])
                _set_child(node, step, _holding(above, depth, fields))
                return
            if id(below) not in self._own:
                if not isinstance(below, list if step in ARRAYS else dict):
                    raise InvalidSpec([_wrong_shape(above[: depth + 1])])
                below = self._copied(node, step, below)
            node = below
        if isinstance(node, dict):
            node.update(fields)
        else:
            for step, value in fields.items():
                _set_child(node, step, value)

    def remove(self, path: Path) -> None:
        """Take a field away, if there is one."""
        if read(self.obj, path) is None:
            return
        node: Any = self._owned_root()
        for step in path[:-1]:
            below = child(node, step)
            node = below if id(below) in self._own else self._copied(node, step, below)
        del node[_index(node, path[-1]) if isinstance(node, list) else path[-1]]

    def _owned_root(self) -> Object:
        if id(self.obj) not in self._own:
            self.obj = self.obj.copy()
            self._own[id(self.obj)] = self.obj
        return self.obj

    def _copied(self, node: Any, step: str, below: Any) -> Any:
        copy = below.copy()
        # One of a wrong shape, past which things can only be taken away, is left to be checked by what is put there.
        if isinstance(copy, list) is (step in ARRAYS):
            self._own[id(copy)] = copy
        if isinstance(node, dict):
            node[step] = copy
        else:
            _set_child(node, step, copy)
        return copy


def is_hollow(node: Any, step: str) -> bool:
    """Tell whether an object, array or named entry, which its parent calls `step`, holds nothing."""
    if isinstance(node, dict):
        return not node or (len(node) == 1 and node.get("name") == step)
    return bool(node == [])


def is_below(path: Path, tops: Iterable[Path]) -> bool:
    """Tell whether a path is one of these or leads through one of them."""
    for top in tops:  # noqa: SIM110 - a generator for `any` would take twice the time
        if path[: len(top)] == top:
            return True
    return False


def _wrong_shape(path: Path) -> str:
    return f"{dotted(path)}: Invalid value: must be an {'array' if path[-1] in ARRAYS else 'object'}"


def child(node: Any, step: str) -> Any:
    """Look one step of a path up; None if there is no such thing, or the node is neither object nor array."""
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


def _holding(above: Path, depth: int, fields: Mapping[str, Any]) -> Any:
    """Make what is absent from a depth of the path on, so that it holds these fields."""
    node: Any = list(fields.values()) if above[-1] in ARRAYS else fields
    for index in range(len(above) - 1, depth - 1, -1):
        is_entry = index > 0 and above[index - 1] in ARRAYS
        if is_entry:
            node = {"name": above[index], **node}
        if index > depth:
            node = [node] if is_entry else {above[index]: node}
    return node


def _index(entries: list[Any], step: str) -> int | None:
    for index, entry in enumerate(entries):
        if _is_called(entry, step):
            return index
    return None


def _is_called(entry: Any, step: str) -> bool:
    if not isinstance(entry, dict):
        return False
    source = entry.get("secretRef")
    if isinstance(source, dict):
        # With a prefix the variables have other names: a different thing.
        return source.get("name") == step and not entry.get("prefix")
    return entry.get("name") == step
