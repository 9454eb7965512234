"""A consumer as the API server stores it: which storage it uses, and what the webhook injected for that. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from shared.consumers.identity import Usage, consumer_of
from shared.consumers.injection_record import InjectionRecord
from shared.consumers.kinds import KEY_PREFIX
from shared.consumers.reference import StorageReference, stated_reference
from shared.objects.field_path import read
from shared.objects.resources import is_terminating

if TYPE_CHECKING:
    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class StoredConsumer:
    """What webhook and reconciler know of a stored consumer.

    Attributes:
        object: The consumer itself, of any kind in `KINDS`.
        reference: The storage that it uses; None if it uses none.
        record: What the webhook injected; None if it injected nothing.
    """

    object: Object = field(repr=False)
    reference: StorageReference | None
    record: InjectionRecord | None

    @classmethod
    def of(cls, consumer: Object) -> Self:
        """Parse a stored consumer.

        Raises:
            InvalidSpec: A reference is malformed, or field and annotation contradict each other.
        """
        record = InjectionRecord.of(consumer)
        return cls(consumer, effective_reference(consumer, record), record)

    @property
    def is_granted(self) -> bool:
        """Whether somebody with the right to use the storage made the reference."""
        return self.reference is not None and self.record is not None and self.record.grants(self.reference)

    @property
    def usage(self) -> Usage | None:
        """Which storage the consumer uses; None if it uses none."""
        if self.reference is None:
            return None
        prefix = read(self.object, KEY_PREFIX)
        return Usage(
            consumer_of(self.object),
            self.reference.key,
            self.is_granted,
            is_terminating(self.object),
            is_wired=self.record is not None and self.record.reference.key == self.reference.key,
            key_prefix=prefix if isinstance(prefix, str) else "",
        )


def effective_reference(consumer: Object, record: InjectionRecord | None) -> StorageReference | None:
    """Tell which storage a consumer refers to.

    While ToolHive's CRD lacks `spec.sessionStorageRef`, as after an upgrade of ToolHive, the API server prunes the
    field from every consumer that it returns. A reference that was made by field lives on in the record until then.

    Args:
        consumer: Of any kind in `KINDS`.
        record: Counts if the consumer states no reference.

    Raises:
        InvalidSpec: A reference is malformed, or field and annotation contradict each other.
    """
    reference = stated_reference(consumer)
    if reference is None and record is not None and record.reference.is_by_field:
        return record.reference
    return reference
