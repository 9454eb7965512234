"""What a cache keeps of each object, and how: as a dictionary, or as bytes that are read when somebody asks."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from shared.objects.resources import Key, Object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class PackedObjects(MutableMapping[Key, Object]):
    """Objects by namespace and name, as JSON.

    As dictionaries, objects take four to five times the memory of their JSON, and the garbage collector walks through
    all of them again and again. To read one takes about 20 µs, and a pass over a `large` storage reads about thirty.

    Whoever reads an object gets one of its own; `values` and `items` read each object as its turn comes.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._packed: dict[Key, bytes | Object] = {}

    def __getitem__(self, key: Key) -> Object:
        packed = self._packed[key]
        if not isinstance(packed, bytes):
            return packed
        obj: Object = orjson.loads(packed)
        return obj

    def __setitem__(self, key: Key, obj: Object) -> None:
        namespace, name = key
        packed: bytes | Object
        try:
            # A copy takes what it needs; what orjson returns keeps the buffer that it was written to, four times that.
            packed = bytes(memoryview(orjson.dumps(obj)))
        except orjson.JSONEncodeError:
            # Users can nest values more deeply than orjson writes them; it reads more than it writes.
            packed = obj
        self._packed[sys.intern(namespace), name] = packed

    def __delitem__(self, key: Key) -> None:
        del self._packed[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, key: object) -> bool:
        return key in self._packed


def unchanged(obj: Object) -> Object:
    """Keep the whole object."""
    return obj


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a cache keeps of each object, and how.

    Attributes:
        trimmed: Returns what to keep of an object; handlers of changes get no more of it either.
        cache: Makes what holds the objects.
    """

    trimmed: Callable[[Object], Object] = unchanged
    cache: Callable[[], MutableMapping[Key, Object]] = dict


WHOLE: Final = Keeping()
