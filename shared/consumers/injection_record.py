"""The record of an injection: what the webhook put into a consumer, kept in an annotation of that consumer. Pure.

Users can write annotations too, so a reader must know whose word a record is: the webhook wrote the one in a stored
object, and anybody may have written the one in an object that is just being admitted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from shared.consumers.reference import ANNOTATIONS, StorageReference, reference_named
from shared.consumers.targets import Target
from shared.errors import InvalidSpec
from shared.names import ANNOTATION_INJECTION
from shared.objects.field_path import Path, path_of, pointer, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.objects.resources import Object

RECORD_PATH: Final = (*ANNOTATIONS, ANNOTATION_INJECTION)
_MAX_PATHS: Final = 32
"""More paths than any kind has (a VirtualMCPServer has 18); the webhook never writes a longer list."""
_MAX_TEXT: Final = 16 * 1024
"""Ten times the longest record; the webhook never writes a longer text."""
_MAX_REMEMBERED: Final = 128
_pointer: Final = lru_cache(_MAX_REMEMBERED)(pointer)
_path: Final = lru_cache(_MAX_REMEMBERED)(path_of)
"""Records hold the same two dozen paths; converting them for each record would take a tenth of an admission."""


@dataclass(frozen=True, slots=True)
class InjectionRecord:
    """What the webhook injected into a consumer, and for which storage.

    Attributes:
        reference: The storage, and whether the field or the annotation named it.
        target: Which parts of the consumer the webhook connected.
        is_granted: Whether the author of the reference had the right to use a storage of another namespace.
        fields: Value of each field that was absent before, by path.
        created: The topmost objects and arrays that the webhook had to create to hold these fields.
        source: The annotation's value that this was read from; empty for a new record.
    """

    reference: StorageReference
    target: Target
    is_granted: bool
    fields: Mapping[Path, Any]
    created: tuple[Path, ...]
    source: str = field(default="", compare=False, repr=False)

    @property
    def text(self) -> str:
        """The annotation's value. The API server's policy (`policy.yaml` in the chart) reads this very form."""
        content = {
            "by": "field" if self.reference.is_by_field else "annotation",
            "for": self.target.value,
            "granted": self.is_granted,
            "made": [_pointer(path) for path in self.created],
            "put": {_pointer(path): value for path, value in self.fields.items()},
            "storage": str(self.reference),
        }
        return orjson.dumps(content).decode()

    @classmethod
    def of(cls, consumer: Object | None) -> Self | None:
        """Read the record of a consumer; None if it has none, or one that the webhook cannot have written."""
        text = read(consumer, RECORD_PATH) if consumer is not None else None
        if not isinstance(text, str) or len(text) > _MAX_TEXT:
            return None
        try:
            content = orjson.loads(text)
            record = cls(
                reference=reference_named(content["storage"], is_by_field=content["by"] == "field"),
                target=Target(content.get("for", Target.ALL)),
                is_granted=content.get("granted") is True,
                fields={_path(key): value for key, value in content["put"].items()},
                created=tuple(map(_path, content["made"])),
                source=text,
            )
        except (ValueError, TypeError, KeyError, AttributeError, InvalidSpec):
            return None
        paths = (*record.fields, *record.created)
        if len(paths) > _MAX_PATHS or {path[:1] for path in paths} - {("spec",)}:
            return None
        return record

    def grants(self, reference: StorageReference) -> bool:
        """Tell whether somebody with the right to use a storage made this reference to it."""
        return self.is_granted and self.reference == reference
