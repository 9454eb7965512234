"""Who is primary, as the Service of a storage has it, and the record of the last time that changed. Pure.

The Service's selector names one instance: that is where clients get to, so that is the primary, whatever instances take
themselves for. Before anything is done about it, who does it writes down what is to happen, and loses if somebody else
was first; the selector is moved by whoever finds its own claim still there. So of two who both take themselves for the
leader, one moves clients.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from shared import names
from shared.objects.field_path import read
from shared.objects.timestamps import read_time, written
from shared.session_storage.models import LastFailover

if TYPE_CHECKING:
    from datetime import datetime

    from shared.objects.resources import Object

FIRST_START: Final = "FirstStart"
_RECORD: Final = ("metadata", "annotations", names.ANNOTATION_PRIMARY)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to happen to the primary, or what happened to it last, as an annotation of the Service keeps it.

    Attributes:
        epoch: How many times a primary was chosen, or was about to be.
        to: Number of the instance that becomes the primary.
        reason: Why, as one CamelCase word.
        began: When it was claimed; this and the other time as RFC 3339, empty if it has not come to that.
        ended: When clients were sent to the new primary.
        took: Seconds between the two, as who did it measured them.
        asked: The user's word that this is about, if it is about one.
        handled: The user's word that was done last.
    """

    epoch: int = 0
    to: int = 0
    reason: str = ""
    began: str = ""
    ended: str = ""
    took: float = 0.0
    asked: str = ""
    handled: str = ""

    @classmethod
    def of(cls, service: Object | None) -> Self:
        """Read the record; an empty one if there is nothing intelligible."""
        text = read(service or {}, _RECORD)
        try:
            content: dict[str, Any] = orjson.loads(text) if isinstance(text, str) else {}
            return cls(
                epoch=int(content.get("epoch", 0)),
                to=int(content.get("to", 0)),
                reason=str(content.get("reason", "")),
                began=str(content.get("began", "")),
                ended=str(content.get("ended", "")),
                took=float(content.get("took", 0.0)),
                asked=str(content.get("asked", "")),
                handled=str(content.get("handled", "")),
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    @property
    def text(self) -> str:
        """The annotation's value."""
        return orjson.dumps({key: value for key, value in asdict(self).items() if value or key == "to"}).decode()

    @property
    def is_under_way(self) -> bool:
        """Whether somebody has claimed to change the primary, and has not come to the end of it."""
        return bool(self.began) and not self.ended

    @property
    def settled(self) -> int | None:
        """The instance that clients were sent to when this was written; None if it does not tell."""
        return self.to if self.epoch and not self.is_under_way else None

    def next(self, to: int, reason: str, now: datetime, asked: str = "") -> Claim:
        """Claim a change of the primary."""
        return Claim(self.epoch + 1, to, reason, began=written(now), asked=asked, handled=self.handled)

    def withdrawn(self, primary: int) -> Claim:
        """Take the place of a claim that came to no end; what a user asked for by it is to be done yet."""
        return Claim(self.epoch + 1, primary, handled=self.handled)

    def end(self, now: datetime, took: float = 0.0) -> Claim:
        """Note that clients get to the new primary."""
        handled = self.asked or self.handled
        return replace(self, ended=written(now), took=round(took, 3), asked="", handled=handled)

    def status(self) -> LastFailover | None:
        """Tell of it as the storage's status does; None if nothing changed since the storage began."""
        at = read_time(self.ended)
        if self.reason == FIRST_START or at is None:
            return None
        return LastFailover(at=at, reason=self.reason, seconds=self.took)


def first(instance: int) -> Claim:
    """Write down whom clients are sent to from the first."""
    return Claim(1, instance)


def primary_of(service: Object | None) -> int | None:
    """Tell which instance the Service sends clients to; None if that cannot be told."""
    selector = (service or {}).get("spec", {}).get("selector") or {}
    number = str(selector.get(names.LABEL_INSTANCE, ""))
    return int(number) if number.isdigit() else None


def pointed(service: Object, instance: int, record: Claim) -> Object:
    """Write the Service as it sends clients to an instance."""
    metadata = service["metadata"]
    annotations = {**(metadata.get("annotations") or {}), names.ANNOTATION_PRIMARY: record.text}
    spec = service["spec"]
    return {
        **service,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**spec, "selector": {**spec["selector"], names.LABEL_INSTANCE: str(instance)}},
    }


def claimed(service: Object, record: Claim) -> Object:
    """Write the Service as it is, with a claim."""
    return pointed(service, primary_of(service) or 0, record)
