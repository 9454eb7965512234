"""What a consumer of a storage looks like: the one rule that webhook and reconciler share. Pure.

A reference names the storage. The webhook injects the fields that the consumer's kind takes, and writes down in an
annotation which ones. Their removal goes by that record alone, so that a user's own settings stay, even equal ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shared.consumers.access import is_shared_with
from shared.consumers.auth_server_host import stamp_pods
from shared.consumers.contradiction import contradiction
from shared.consumers.credential_revision import REVISION_PATH
from shared.consumers.injection_record import RECORD_PATH, InjectionRecord
from shared.consumers.kinds import auth_server_fields, required_fields
from shared.consumers.removal import complete, remove_annotation, remove_fields, stated_fields, unchanged_fields
from shared.consumers.storage_connection import connection_to
from shared.consumers.targets import Target, target_of
from shared.errors import InvalidSpec
from shared.names import ANNOTATION_REVISION
from shared.objects.field_path import ARRAYS, Draft, Path, read, top_above

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from shared.consumers.reference import StorageReference
    from shared.consumers.storage_connection import StorageConnection
    from shared.consumers.stored_consumer import StoredConsumer
    from shared.objects.resources import Key, Object


@dataclass(frozen=True, slots=True)
class InjectionContext:
    """What an injection depends on besides consumer and storage.

    Attributes:
        target: Which parts of the consumer are connected, if the consumer itself does not say.
        stored: Record of the stored object; it proves what the webhook injected, even if a user edits the new one's.
        is_granted: Whether the author of the reference may use a storage of another namespace.
    """

    target: Target = Target.ALL
    stored: InjectionRecord | None = None
    is_granted: bool = False


DEFAULT_CONTEXT: Final = InjectionContext()


class Injection(NamedTuple):
    """A whole consumer as it should be, and the record of what is injected into it; None if nothing is.

    Attributes:
        connection: How consumers connect to the storage that it refers to.
    """

    consumer: Object
    record: InjectionRecord | None
    connection: StorageConnection


def desired_of_stored(stored: StoredConsumer, storages: Mapping[Key, Object], default_target: Target) -> Object:
    """Tell how a stored consumer should look; the result equals the consumer if nothing has to change.

    Raises:
        InvalidSpec: As `desired`.
    """
    if stored.reference is None:
        return remove(stored.object)
    context = InjectionContext(default_target, stored.record, stored.is_granted)
    return desired(stored.object, stored.reference, storages.get(stored.reference.key), context).consumer


def desired(
    consumer: Object,
    reference: StorageReference,
    storage: Object | None,
    context: InjectionContext,
) -> Injection:
    """Tell how a consumer that refers to a storage should look; the storage is None if it does not exist yet.

    Raises:
        InvalidSpec: The user's own settings contradict the storage, or do not fit ToolHive's schema.
    """
    target, connection = target_of(consumer, context.target), connection_to(reference, storage)
    if not (context.is_granted or _is_permitted(consumer, reference, storage, context.stored)):
        return Injection(remove(consumer, context.stored), None, connection)
    context = InjectionContext(target, context.stored, context.is_granted)
    return inject(consumer, reference, connection, context)


def inject(
    consumer: Object,
    reference: StorageReference,
    connection: StorageConnection,
    context: InjectionContext = DEFAULT_CONTEXT,
) -> Injection:
    """Give a consumer all that it needs to use a storage, and take out what it needed for another one.

    The context's target counts, not the consumer's annotation.

    Raises:
        InvalidSpec: The user's own settings contradict the storage, or do not fit ToolHive's schema.
    """
    records = _records(consumer, context.stored)
    unchanged = unchanged_fields(consumer, records)
    required = dict(required_fields(consumer, reference, connection, context.target))
    required |= auth_server_fields(consumer, reference, connection, context.target, unchanged)
    ours = unchanged - stated_fields(consumer, records, unchanged, required)
    kept = {path for path in ours if required.get(path) is not None and _is_in_place(consumer, path)}
    draft = Draft(consumer)
    remove_fields(draft, records, ours, kept)
    added = _fill(draft, required, kept, reference)
    before = [path for record in records for path in record.created]
    completed = complete(draft, records)
    created = _created(added | dict.fromkeys(completed), before)
    stamp_pods(draft)
    fields = {path: required[path] for path in added} | completed
    record = InjectionRecord(reference, context.target, context.is_granted, fields, created)
    if read(consumer, RECORD_PATH) != (text := record.text):
        draft.put(RECORD_PATH, text)
    return Injection(draft.obj, record, connection)


def remove(consumer: Object, stored: InjectionRecord | None = None) -> Object:
    """Take the injected fields that nobody has changed out of a consumer; return the same object if there are none.

    Args:
        consumer: Not changed.
        stored: Record of the stored object, if the consumer is a new version of it.

    Raises:
        InvalidSpec: What is above a field that has to be set is no object.
    """
    records = _records(consumer, stored)
    draft = Draft(consumer)
    unchanged = unchanged_fields(consumer, records)
    remove_fields(draft, records, unchanged - stated_fields(consumer, records, unchanged, ()))
    remove_annotation(draft, RECORD_PATH)
    remove_annotation(draft, REVISION_PATH)
    if records:
        complete(draft, records)
    stamp_pods(draft)
    return draft.obj


def _records(consumer: Object, stored: InjectionRecord | None) -> list[InjectionRecord]:
    """List the records of what was injected: the stored object's, and that of an earlier call in the same admission.

    A record that a user made up lists nothing but that user's own fields.
    """
    if stored is not None and stored.source == read(consumer, RECORD_PATH):
        return [stored]
    own = InjectionRecord.of(consumer)
    return [record for record in (own, stored) if record is not None]


def _is_permitted(
    consumer: Object, reference: StorageReference, storage: Object | None, stored: InjectionRecord | None
) -> bool:
    """Tell whether a consumer may be connected even if its author has no right to use the storage.

    A connected consumer stays connected when the storage is no longer shared: the reconciler takes its credential
    away instead, and the consumer's owner decides whether it goes on without a store.
    """
    namespace = read(consumer, ("metadata", "namespace"))
    if reference.namespace == namespace or (storage is not None and is_shared_with(storage, str(namespace))):
        return True
    return stored is not None and stored.reference == reference


def _fill(
    draft: Draft, required: Mapping[Path, Any], ours: Container[Path], reference: StorageReference
) -> dict[Path, Path | None]:
    """Set the required fields that are absent or ours; return them, each with the topmost parent that was created.

    Raises:
        InvalidSpec: With every contradiction.
    """
    added: dict[Path, Path | None] = {}
    problems: list[str] = []
    for path, value in required.items():
        present = read(draft.obj, path)
        # A manifest that somebody copied from the cluster holds an earlier revision.
        is_outdated_revision = path[-1] == ANNOTATION_REVISION and present != value
        if present is None or path in ours or is_outdated_revision:
            if value is not None:
                try:
                    added[path] = None if _is_same(present, value) else draft.put(path, value)
                except InvalidSpec as error:
                    problems += error.problems
        elif problem := contradiction(path, present, value, reference):
            problems.append(problem)
    if problems:
        raise InvalidSpec(list(dict.fromkeys(problems)))
    return added


def _created(added: Mapping[Path, Path | None], before: Sequence[Path]) -> tuple[Path, ...]:
    """Name the topmost objects and arrays that were created to hold these fields, now or before."""
    tops: list[Path] = []
    for path, created in added.items():
        top = top_above(path, before) or created
        if top is not None and top not in tops and top_above(top, tops) is None:
            tops.append(top)
    return tuple(tops)


def _is_in_place(consumer: Object, path: Path) -> bool:
    """Tell whether an injected field is in its place: an array's entry must be the last, to win over earlier ones."""
    return path[-2] not in ARRAYS or read(consumer, path[:-1])[-1] is read(consumer, path)


def _is_same(present: Any, value: Any) -> bool:
    # To Python, False is 0; to the API server they differ.
    return type(present) is type(value) and bool(present == value)
