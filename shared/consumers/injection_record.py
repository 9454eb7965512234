"""The record of a wiring: what the webhook put into a consumer, kept in an annotation of that consumer. Pure.

Users can write annotations, so whoever reads a record must know whose word it is: a stored object's record is the
webhook's, one in an object that is just being written may be anybody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.consumers.reference import ANNOTATIONS, StorageReference, reference_named
from shared.consumers.targets import Target
from shared.errors import InvalidSpec
from shared.names import ANNOTATION_WIRED
from shared.objects.field_path import Path, path_of, pointer, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.objects.resources import Object

RECORD: Final = (*ANNOTATIONS, ANNOTATION_WIRED)
_MAX_RECORDED: Final = 32
"""Twice the paths that any kind has; a longer list was not written here."""
_MAX_TEXT: Final = 16 * 1024
"""Ten times the longest record; a longer text was not written here."""
_MAX_POINTERS: Final = 128
_MAX_KNOWN: Final = 16
_known: Final[dict[str, Record | None]] = {}
"""What texts say that were read or written just now, because one request looks at one half a dozen times.

To read it takes 16 µs, a tenth of an admission (docs/benchmarks.md). The answer is the same with or without this.
"""
_pointer: Final = lru_cache(_MAX_POINTERS)(pointer)
_path: Final = lru_cache(_MAX_POINTERS)(path_of)
"""The same dozen paths are written and read again and again; none of them is longer than a record may be."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was put into a consumer, and for whom.

    Attributes:
        reference: The storage, and whether the field or the annotation named it.
        target: Which parts of the consumer were connected.
        is_granted: Whether who made the reference had the right to use a storage of another namespace.
        put: Value of each field that was absent before, by path.
        made: The topmost objects and arrays that had to be made to hold them.
    """

    reference: StorageReference
    target: Target
    is_granted: bool
    put: Mapping[Path, Any]
    made: tuple[Path, ...]

    @property
    def text(self) -> str:
        """The annotation's value."""
        content = {
            "by": "field" if self.reference.is_by_field else "annotation",
            "for": self.target.value,
            "granted": self.is_granted,
            "made": [_pointer(path) for path in self.made],
            "put": {_pointer(path): value for path, value in self.put.items()},
            "storage": str(self.reference),
        }
        text = orjson.dumps(content).decode()
        _remember(text, self)
        return text


def record_of(consumer: Object | None) -> Record | None:
    """Read the record; None if there is none, or nothing intelligible."""
    text = read(consumer, RECORD) if consumer is not None else None
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        return None
    if text not in _known:
        _remember(text, _parsed(text))
    return _known[text]


def records(consumer: Object, previous: Object | None) -> list[Record]:
    """List what was put there: the stored object's word, and that of an earlier look at the same request.

    A record that a user made up tells of nothing but that user's own fields.
    """
    own, remembered = record_of(consumer), record_of(previous)
    # Mostly they say the same; to undo it twice would be half of the work of an update.
    return [record for record in (own, None if remembered == own else remembered) if record is not None]


def _remember(text: str, record: Record | None) -> None:
    if len(_known) >= _MAX_KNOWN:
        _known.clear()
    _known[text] = record


def _parsed(text: str) -> Record | None:
    try:
        content = orjson.loads(text)
        record = Record(
            reference=reference_named(content["storage"], is_by_field=content["by"] == "field"),
            target=Target(content.get("for", Target.ALL)),
            is_granted=content.get("granted") is True,
            put={_path(key): value for key, value in content["put"].items()},
            made=tuple(map(_path, content["made"])),
        )
    except (ValueError, TypeError, KeyError, AttributeError, InvalidSpec):
        return None
    paths = (*record.put, *record.made)
    if len(paths) > _MAX_RECORDED or {path[:1] for path in paths} - {("spec",)}:
        return None
    return record
