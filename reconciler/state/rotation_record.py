"""The record of a storage's newest rotation, as an annotation of the Secret that the rotation changes. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Final, Self

import orjson

from shared.names import ANNOTATION_ROTATION
from shared.objects.field_path import read
from shared.objects.timestamps import read_time, written

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from shared.objects.resources import Object

_RECORD: Final = ("metadata", "annotations", ANNOTATION_ROTATION)


@dataclass(frozen=True, slots=True)
class RotationRecord:
    """The newest rotation of a storage.

    Attributes:
        handled: The value of the user's annotation that the reconciler acted on last.
        revision: Name of the newest credential; it reveals nothing about the credential itself.
        begun: When the reconciler staged the next passwords; like the other times as RFC 3339, and empty until then.
        published: When the reconciler first handed the new credential to consumers.
        ended: When the rotation was over.
        replaces: When the passwords were made that the rotation replaces.
    """

    handled: str = ""
    revision: str = ""
    begun: str = ""
    published: str = ""
    ended: str = ""
    replaces: str = ""

    @classmethod
    def of(cls, secret: Object | None) -> Self:
        """Read the record of an auth or connection Secret; an empty one if it has none that can be read."""
        text = read(secret or {}, _RECORD)
        try:
            content = orjson.loads(text) if isinstance(text, str) else {}
            return cls(**{each.name: str(content.get(each.name, "")) for each in fields(cls)})
        except (ValueError, AttributeError):
            return cls()

    @property
    def annotations(self) -> dict[str, str]:
        """The annotation that keeps it; none if there is nothing to remember."""
        content = {key: value for key, value in asdict(self).items() if value}
        return {ANNOTATION_ROTATION: orjson.dumps(content).decode()} if content else {}

    @property
    def is_under_way(self) -> bool:
        """Whether there is a rotation that has begun and not ended."""
        return bool(self.begun) and not self.ended

    def start(self, handled: str, revision: str, now: datetime, made: str = "") -> RotationRecord:
        """Begin a rotation; `made` says when the first passwords were made, before any rotation."""
        return RotationRecord(handled, revision, begun=written(now), replaces=self.begun or made)

    def publish(self, now: datetime) -> RotationRecord:
        """Note that the reconciler hands the new credential to consumers."""
        return replace(self, published=written(now))

    def end(self, now: datetime) -> RotationRecord:
        """Note that the rotation has ended."""
        return replace(self, ended=written(now))

    def has_stood_for(self, duration: timedelta, now: datetime) -> bool:
        """Tell whether the new credential was staged or, if that came later, published that long ago.

        True if the time cannot be read.
        """
        changed = read_time(self.published or self.begun)
        return changed is None or now - changed >= duration

    def put_on(self, secret: Object) -> Object:
        """Write the record on a copy of a Secret."""
        metadata = secret["metadata"]
        annotations = {**(metadata.get("annotations") or {}), **self.annotations}
        return {**secret, "metadata": {**metadata, "annotations": annotations}} if annotations else secret


def revision_of(secret: Object) -> str:
    """Name the credential that comes after the one a Secret holds now: never the same for two of them."""
    metadata = secret["metadata"]
    return f"{metadata['uid'][:8]}-{metadata['resourceVersion']}"
