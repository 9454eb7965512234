"""The record of a change of a storage's primary. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import orjson

from shared import names
from shared.objects.field_path import read
from shared.objects.timestamps import read_time, written
from shared.session_storage.status import LastFailover

if TYPE_CHECKING:
    from datetime import datetime

    from shared.objects.resources import Object

FIRST_START: Final = "FirstStart"
_RECORD: Final = ("metadata", "annotations", names.ANNOTATION_PRIMARY)
_STORED_AS: Final = {"request": "asked"}
"""What the annotation calls a field, where that is not the field's own name."""


@dataclass(frozen=True, slots=True)
class PrimaryRecord:
    """The change of the primary that a process has claimed, or the last one that a process made.

    Attributes:
        epoch: How many times a process has claimed a change, or taken a claim back.
        to: Number of the instance that becomes the primary.
        reason: Why, as one CamelCase word.
        began: When a process claimed it, as RFC 3339; empty if none has.
        ended: When the Service began to send clients to the new primary, as RFC 3339; empty until then.
        took: Seconds between the two, as the process that made the change measured them.
        request: The user's request that this change fulfils (value of the annotation `switchover`); empty if none.
        handled: The user's request that the reconciler fulfilled last.
        consent: The consent to a loss by which a person chose this instance (value of the annotation `promote`); empty
            if the reconciler chose it.
        used: The consent that the reconciler used last.
    """

    epoch: int = 0
    to: int = 0
    reason: str = ""
    began: str = ""
    ended: str = ""
    took: float = 0.0
    request: str = ""
    handled: str = ""
    consent: str = ""
    used: str = ""

    @classmethod
    def of(cls, holder: Object) -> Self:
        """Read the record from an object's annotation; an empty record if it has none that can be read."""
        text = read(holder, _RECORD)
        try:
            content = orjson.loads(text) if isinstance(text, str) else {}
            defaults = asdict(cls())
            stored = {name: content.get(_STORED_AS.get(name, name), default) for name, default in defaults.items()}
            return cls(**{name: type(defaults[name])(value) for name, value in stored.items()})
        except (ValueError, TypeError, AttributeError):
            return cls()

    @property
    def text(self) -> str:
        """The annotation's value."""
        content = {key: value for key, value in asdict(self).items() if value or key == "to"}
        return orjson.dumps({_STORED_AS.get(key, key): value for key, value in content.items()}).decode()

    def put_on(self, holder: Object) -> Object:
        """Write the record on a copy of an object."""
        metadata = holder["metadata"]
        annotations = {**(metadata.get("annotations") or {}), names.ANNOTATION_PRIMARY: self.text}
        return {**holder, "metadata": {**metadata, "annotations": annotations}}

    @property
    def is_under_way(self) -> bool:
        """Whether a process has claimed a change of the primary and has not finished it."""
        return bool(self.began) and not self.ended

    @property
    def settled_primary(self) -> int | None:
        """The instance that the Service sent clients to when a process wrote this; None if the record does not tell."""
        return self.to if self.epoch and not self.is_under_way else None

    @property
    def status(self) -> LastFailover | None:
        """`status.lastFailover`; None if the primary has not changed since the storage began."""
        at = read_time(self.ended)
        if self.reason == FIRST_START or at is None:
            return None
        return LastFailover(at=at, reason=self.reason, seconds=self.took)

    def claim(self, to: int, reason: str, now: datetime, request: str = "", consent: str = "") -> PrimaryRecord:
        """Claim a change of the primary; the epoch in between is for the withdrawal of a claim that is under way."""
        epoch = self.epoch + (2 if self.is_under_way else 1)
        kept = PrimaryRecord(handled=self.handled, used=self.used)
        return replace(kept, epoch=epoch, to=to, reason=reason, began=written(now), request=request, consent=consent)

    def at(self, epoch: int) -> PrimaryRecord:
        """Note again that this was the last change, after a claim of another one; that one's request stays open."""
        return replace(self, epoch=epoch)

    def end(self, now: datetime, took: float = 0.0) -> PrimaryRecord:
        """Note that the Service sends clients to the new primary; a request or a consent counts only once."""
        return replace(
            self,
            ended=written(now),
            took=round(took, 3),
            request="",
            handled=self.request or self.handled,
            consent="",
            used=self.consent or self.used,
        )
