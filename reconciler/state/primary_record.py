"""Which instance is primary, as the storage's Service says, and the record of the last change. Pure.

The Service's selector names one instance. Clients get to that one, so it is the primary, whatever instances consider
themselves to be. Before a process changes the primary, it writes a record of the change into the Service, and it loses
if another process wrote first. It moves the selector only while it still finds its own record there. So of two
processes that both consider themselves the leader, only one moves clients.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

import orjson

from shared import names
from shared.objects.field_path import read
from shared.objects.resources import key_of
from shared.objects.timestamps import read_time, written
from shared.session_storage.status import LastFailover

if TYPE_CHECKING:
    from datetime import datetime

    from shared.objects.resources import Key, Object

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
    """

    epoch: int = 0
    to: int = 0
    reason: str = ""
    began: str = ""
    ended: str = ""
    took: float = 0.0
    request: str = ""
    handled: str = ""

    @classmethod
    def of(cls, service: Object) -> Self:
        """Read the record from a Service's annotation; an empty record if it has none that can be read."""
        text = read(service, _RECORD)
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

    def claim(self, to: int, reason: str, now: datetime, request: str = "") -> PrimaryRecord:
        """Claim a change of the primary."""
        return PrimaryRecord(self.epoch + 1, to, reason, began=written(now), request=request, handled=self.handled)

    def withdrawn(self, primary: int) -> PrimaryRecord:
        """Replace a claim of a change that broke off; a user's request that it was for stays open."""
        return PrimaryRecord(self.epoch + 1, primary, handled=self.handled)

    def end(self, now: datetime, took: float = 0.0) -> PrimaryRecord:
        """Note that the Service sends clients to the new primary."""
        handled = self.request or self.handled
        return replace(self, ended=written(now), took=round(took, 3), request="", handled=handled)


@dataclass(frozen=True, slots=True)
class PrimaryService:
    """The Service that sends clients to a storage's primary, in the version that the observer saw.

    Attributes:
        manifest: The Service; its `resourceVersion` lets only one of two writers replace it.
        primary: Number of the instance that its selector names; None if it names none.
    """

    manifest: Object = field(repr=False)
    primary: int | None
    record: PrimaryRecord

    @classmethod
    def of(cls, service: Object) -> Self:
        """Read a Service."""
        selector = service.get("spec", {}).get("selector") or {}
        number = str(selector.get(names.LABEL_INSTANCE, ""))
        return cls(service, int(number) if number.isdigit() else None, PrimaryRecord.of(service))

    @property
    def key(self) -> Key:
        """Its namespace and name."""
        return key_of(self.manifest)

    @property
    def cluster_ip(self) -> str:
        """The address by which clients reach the primary; empty if the API server has given none."""
        return str(self.manifest["spec"].get("clusterIP", ""))

    def with_record(self, record: PrimaryRecord) -> Object:
        """Build the Service with another record; it sends clients where it sent them before."""
        return self.pointing_at(self.primary or 0, record)

    def pointing_at(self, primary: int, record: PrimaryRecord) -> Object:
        """Build the Service that sends clients to an instance, with the record of that change."""
        metadata, spec = self.manifest["metadata"], self.manifest["spec"]
        annotations = {**(metadata.get("annotations") or {}), names.ANNOTATION_PRIMARY: record.text}
        return {
            **self.manifest,
            "metadata": {**metadata, "annotations": annotations},
            "spec": {**spec, "selector": {**spec["selector"], names.LABEL_INSTANCE: str(primary)}},
        }
