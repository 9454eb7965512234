"""What a consumer of a storage looks like: the one rule that webhook and reconciler share. Pure.

A reference names the storage; wiring puts what its kind takes into the consumer and writes down, in an annotation,
exactly what was put there. Unwiring goes by that record alone, so that a user's own settings stay, even equal ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.consumers.access import is_shared_with
from shared.consumers.credential_revision import STAMP
from shared.consumers.injection_record import RECORD, Record, record_of, records
from shared.consumers.kinds import SESSION_STORAGE, secret_of, settings
from shared.consumers.reference import FIELD, StorageReference, stated_reference
from shared.consumers.removal import remove_annotation, undone
from shared.consumers.storage_endpoint import store_of
from shared.consumers.targets import Target, target_of
from shared.consumers.up_to_date import is_settled
from shared.errors import InvalidSpec
from shared.names import ANNOTATION_REVISION
from shared.objects.field_path import Draft, Path, child, dotted, is_below, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.consumers.kinds import Fields
    from shared.consumers.storage_endpoint import Store
    from shared.objects.resources import Key, Object

_PROVIDER: Final = (*SESSION_STORAGE, "provider")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known beside the consumer itself.

    Attributes:
        target: Which parts of the consumer are meant.
        previous: The stored object, if the consumer is just being written; what its record says is ours too.
        is_granted: Whether who made the reference may use a storage of another namespace.
    """

    target: Target = Target.ALL
    previous: Object | None = field(default=None, repr=False)
    is_granted: bool = False


ORDINARY: Final = Circumstances()


def project(consumer: Object, storages: Mapping[Key, Object], default_target: Target) -> Object:
    """Say what a stored consumer should look like; equal to it if nothing is to do.

    Raises:
        InvalidSpec: As `desired`.
    """
    reference = reference_of(consumer, remembered=consumer)
    granted = reference is not None and is_granted(consumer, reference)
    known = Circumstances(default_target, consumer, granted)
    return desired(consumer, reference, storages, known)


def desired(
    consumer: Object,
    reference: StorageReference | None,
    storages: Mapping[Key, Object],
    known: Circumstances,
) -> Object:
    """Say what a consumer should look like.

    Args:
        consumer: As it is, or as somebody wants it to be.
        reference: The storage that it names, if it names one.
        storages: Every storage that is known; one that is missing may come later.
        known: Its target goes for consumers that do not say which of their parts are meant.

    Raises:
        InvalidSpec: The user's own settings contradict, or are of another shape than ToolHive's.
    """
    if reference is None:
        return unwire(consumer, previous=known.previous)
    known = Circumstances(target_of(consumer, known.target), known.previous, known.is_granted)
    storage = storages.get(reference.key)
    if not (known.is_granted or _is_permitted(consumer, reference, storage, known.previous)):
        return unwire(consumer, previous=known.previous)
    return wire(consumer, reference, store_of(reference, storage), known)


def wire(
    consumer: Object,
    reference: StorageReference,
    store: Store,
    known: Circumstances = ORDINARY,
) -> Object:
    """Give a consumer all that it needs to use a storage, and nothing that it needed for another one.

    Args:
        consumer: Stays as it is.
        reference: The storage.
        store: What is known of it.
        known: What else is known.

    Raises:
        InvalidSpec: The user's own settings contradict, or are of another shape than ToolHive's.
    """
    wanted = list(settings(consumer, reference, store, known.target))
    told = records(consumer, known.previous)
    if _is_wired(consumer, reference, wanted, told, known):
        return consumer
    draft = undone(consumer, told)
    added, made = _fill(draft, wanted, reference)
    draft.put(RECORD, Record(reference, known.target, known.is_granted, added, made).text)
    return draft.obj


def unwire(consumer: Object, *, previous: Object | None = None) -> Object:
    """Take out of a consumer what `wire` put there and nobody has changed since; the very object if that is nothing."""
    told = records(consumer, previous)
    bare = undone(consumer, told)
    remove_annotation(bare, STAMP)
    made = [path for record in told for path in record.made]
    if read(bare.obj, _PROVIDER) is None and is_below(SESSION_STORAGE, made):
        # Of no use without a provider, and refused by ToolHive's schema: what was added to it meanwhile goes too.
        bare.remove(SESSION_STORAGE)
    return bare.obj


def reference_of(consumer: Object, *, remembered: Object | None = None) -> StorageReference | None:
    """Tell which storage a consumer refers to.

    While ToolHive's CRD lacks `spec.sessionStorageRef`, objects lose it on reading: then a reference that was made by
    field lives on in the record.

    Args:
        consumer: Any of the known kinds.
        remembered: The stored object whose record counts if the consumer states no reference.

    Raises:
        InvalidSpec: A reference is malformed, or field and annotation contradict each other.
    """
    reference = stated_reference(consumer)
    record = record_of(remembered) if reference is None else None
    return record.reference if record is not None and record.reference.is_by_field else reference


def is_granted(consumer: Object, reference: StorageReference) -> bool:
    """Tell whether a stored consumer's reference was made by somebody with the right to use the storage."""
    record = record_of(consumer)
    return record is not None and record.is_granted and record.reference == reference


def proxy_secret_of(consumer: Object) -> str | None:
    """Name the Secret that the proxy of a stored consumer reads; None if it is not connected."""
    record = record_of(consumer)
    if record is None or not record.target.has_proxy:
        return None
    return secret_of(record.reference, consumer["metadata"].get("namespace", ""))


def has_field(consumer: Object) -> bool:
    """Tell whether the consumer has a `spec.sessionStorageRef`, of whatever shape."""
    return read(consumer, FIELD) is not None


def _is_permitted(
    consumer: Object, reference: StorageReference, storage: Object | None, previous: Object | None
) -> bool:
    """Tell whether a consumer may be connected without anybody's right to use the storage.

    One that is connected stays so when the storage is no longer shared: its credential is taken away instead, and
    only who owns the consumer decides that it goes on without a store.
    """
    namespace = read(consumer, ("metadata", "namespace"))
    if reference.namespace == namespace or (storage is not None and is_shared_with(storage, str(namespace))):
        return True
    record = record_of(previous)
    return record is not None and record.reference == reference


def _is_wired(
    consumer: Object, reference: StorageReference, wanted: list[Fields], told: list[Record], known: Circumstances
) -> bool:
    """Tell whether nothing is to do, as for nearly all that is not just being made."""
    if len(told) != 1 or (record := record_of(consumer)) is None:
        return False
    put = {(*above, step): value for above, fields in wanted for step, value in fields.items() if value is not None}
    again = Record(reference, known.target, known.is_granted, put, record.made)
    return again.text == read(consumer, RECORD) and is_settled(consumer, wanted, record.made)


def _fill(
    draft: Draft, wanted: Iterable[Fields], reference: StorageReference
) -> tuple[dict[Path, Any], tuple[Path, ...]]:
    """Put in what is wanted and not there; return that, and what had to be made to hold it.

    Raises:
        InvalidSpec: With all that is in the way.
    """
    added: dict[Path, Any] = {}
    made: list[Path] = []
    problems: list[str] = []
    for above, fields in wanted:
        holder = read(draft.obj, above)
        missing = {step: value for step, value in fields.items() if value is not None}
        if holder is not None:
            for step, value in fields.items():
                present = child(holder, step)
                if present is None or _is_outdated_stamp(step, present, value):
                    continue
                missing.pop(step, None)
                if not _agrees(present, above, value):
                    problems.append(_contradiction((*above, step), value, reference))
        try:
            draft.put_all(above, missing, made)
        except InvalidSpec as error:
            problems += error.problems
        for step, value in missing.items():
            added[*above, step] = value
    if problems:
        raise InvalidSpec(list(dict.fromkeys(problems)))
    return added, tuple(made)


def _agrees(present: Any, above: Path, value: Any) -> bool:
    # An envFrom entry is found by its Secret; the rest of it, such as `optional`, is the user's.
    return above[-1] == "envFrom" or bool(present == value)


def _is_outdated_stamp(step: str, present: Any, value: Any) -> bool:
    """Tell whether there is an earlier stamp, as in a manifest that was copied: there is nothing else it could be."""
    return step == ANNOTATION_REVISION and bool(present != value)


def _contradiction(path: Path, value: Any, reference: StorageReference) -> str:
    """Say what is in the way; not what it is, because people put passwords into addresses."""
    needed = "nothing" if value is None else orjson.dumps(value).decode()
    return f'{dotted(path)}: Invalid value: SessionStorage "{reference}" needs {needed} here: leave the field out'
