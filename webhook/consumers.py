"""Decides how a consumer must change before it is stored, and whether its author may. Pure.

The rule itself is `shared.wiring`; here stand the cases that only an admission request knows, and the warnings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared import wiring
from shared.consumer_kinds import KINDS, secret_of
from shared.errors import InvalidSpec
from shared.fieldpath import dotted, put, read, shown
from shared.names import KEY_REDIS_PASSWORD, KEY_REDIS_URL, KEY_STORAGE_TYPE
from shared.record import record_of
from shared.reference import ANNOTATION, ANNOTATIONS, FIELD
from shared.sharing import is_shared_with
from shared.store import store_of
from webhook.access import Question
from webhook.jsonpatch import diff
from webhook.review import Allow, Deny, Patch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.reference import StorageReference
    from shared.resources import Key, Object
    from shared.target import Target
    from webhook.review import AdmissionRequest, Decision

_NAMESPACE: Final = ("metadata", "namespace")
_NAME: Final = ("metadata", "name")
_VARIABLES: Final = (KEY_REDIS_PASSWORD, KEY_REDIS_URL, KEY_STORAGE_TYPE)


def question(request: AdmissionRequest, storages: Mapping[Key, Object]) -> Question | None:
    """Tell what has to be found out before this request can be decided; mostly nothing.

    Whoever makes a reference to a storage that is not shared with the namespace needs the right to use it. Who
    writes the object later, as ToolHive's operator does, is asked about too, but never refused: a reference that
    nobody has judged yet is granted by the first author who has the right.
    """
    consumer = _written(request)
    if consumer is None:
        return None
    try:
        reference = _reference(consumer, request.old_object)
    except InvalidSpec:
        return None
    if reference is None or not _needs_right(consumer, reference, request.old_object, storages):
        return None
    return Question(request.user, reference.key)


def decide(
    request: AdmissionRequest,
    storages: Mapping[Key, Object],
    default_target: Target,
    *,
    may_use: bool | None = False,
) -> Decision:
    """Wire a consumer that refers to a storage, unwire one that no longer does.

    Args:
        request: About a consumer of any kind in `KINDS`.
        storages: Every SessionStorage that is known; one that is missing may come later.
        default_target: For consumers that do not say which of their parts are meant.
        may_use: The answer to `question`; None if it could not be found out.
    """
    consumer, previous = _written(request), request.old_object
    if consumer is None:
        return Allow()
    try:
        reference = _reference(consumer, previous)
        if reference is None:
            return _changed(consumer, wiring.unwire(consumer, previous=previous), ())
        if _needs_right(consumer, reference, previous, storages):
            if not may_use and not _is_same(reference, previous):
                return Deny((_refusal(request, consumer, reference, may_use=may_use),), reason="Forbidden")
            granted = may_use is True
        else:
            granted = previous is not None and wiring.is_granted(previous, reference)
        known = wiring.Circumstances(default_target, previous, granted)
        wired = wiring.desired(consumer, reference, storages, known)
    except InvalidSpec as error:
        return Deny(error.problems)
    return _changed(consumer, wired, tuple(_warnings(wired, reference, storages.get(reference.key))))


def _written(request: AdmissionRequest) -> Object | None:
    """Return the object with its namespace, if there is anything to decide about it."""
    consumer = request.written
    if consumer is None or _is_untouched(consumer, request.old_object):
        return None
    return consumer if read(consumer, _NAMESPACE) is not None else put(consumer, _NAMESPACE, request.namespace)


def _reference(consumer: Object, previous: Object | None) -> StorageReference | None:
    """Read the reference; one that ToolHive's CRD has lost is remembered.

    While the CRD lacks the field, the API server prunes it from the stored object as well as from the new one.
    """
    is_lost = previous is not None and not wiring.has_field(previous)
    return wiring.reference_of(consumer, remembered=previous if is_lost else None)


def _needs_right(
    consumer: Object, reference: StorageReference, previous: Object | None, storages: Mapping[Key, Object]
) -> bool:
    namespace, storage = consumer["metadata"]["namespace"], storages.get(reference.key)
    if reference.namespace == namespace or (storage is not None and is_shared_with(storage, namespace)):
        return False
    return previous is None or not wiring.is_granted(previous, reference)


def _is_same(reference: StorageReference, previous: Object | None) -> bool:
    """Tell whether the stored object has this reference already: then it was somebody else who made it."""
    try:
        return previous is not None and wiring.reference_of(previous, remembered=previous) == reference
    except InvalidSpec:
        return False


def _refusal(request: AdmissionRequest, consumer: Object, reference: StorageReference, *, may_use: bool | None) -> str:
    path = dotted(FIELD if reference.is_by_field else ANNOTATION)
    if may_use is None:
        return (
            f'{path}: Forbidden: whether you may use SessionStorage "{reference}" cannot be found out at the moment:'
            " try again"
        )
    return (
        f'{path}: Forbidden: user {shown(request.user.get("username"))} may not use SessionStorage "{reference}" from'
        f' namespace "{consumer["metadata"]["namespace"]}": it takes the verb "use" on'
        f' sessionstorages.toolhive.stacklok.dev "{reference.name}" in namespace "{reference.namespace}" (bind the'
        " ClusterRole of this product whose name ends in -use), or this namespace in spec.allowedNamespaces of the"
        " storage"
    )


def _changed(consumer: Object, desired: Object, warnings: tuple[str, ...]) -> Decision:
    operations = diff(consumer, desired)
    return Patch(operations, warnings) if operations else Allow(warnings)


def _is_untouched(consumer: Object, previous: Object | None) -> bool:
    """Tell whether a write is about something else, such as a finalizer: it passes whatever the rules are now."""
    if previous is None:
        return False
    return bool(
        consumer.get("spec") == previous.get("spec") and read(consumer, ANNOTATIONS) == read(previous, ANNOTATIONS)
    )


def _warnings(wired: Object, reference: StorageReference, storage: Object | None) -> Iterator[str]:
    namespace = read(wired, _NAMESPACE)
    secret = secret_of(reference, namespace)
    if storage is None:
        yield f'SessionStorage "{reference}" does not exist (yet): pods wait until Secret "{secret}" exists'
    elif not (store := store_of(reference, storage)).supports_proxies:
        yield (
            f'SessionStorage "{reference}" is external, and ToolHive\'s proxies are not connected to it'
            f" ({store.support}): see its condition ProxiesSupported; backend pods get its connection"
        )
    if record_of(wired) is None:
        yield (
            f'SessionStorage "{reference}" is not shared with this namespace, and whoever made the reference had no'
            " right to use it: nothing is connected"
        )
    if not read(wired, _NAME):
        yield (
            "an object with metadata.generateName has no name yet: its proxies are connected to the storage when it"
            " is next changed"
        )
    if reference.is_by_field and not wiring.has_field(wired):
        yield (
            f'SessionStorage "{reference}" stays connected, though spec.sessionStorageRef was lost with its CRD'
            " field: to disconnect, set the field and take it out again"
        )
    for variable in sorted(set(_hiding_variables(wired))):
        yield f'environment variable {variable} of your own hides the one of SessionStorage "{reference}"'


def _hiding_variables(consumer: Object) -> Iterator[str]:
    """List the injected variables that the user sets, too: Kubernetes prefers those over `envFrom`."""
    kind = KINDS[consumer["kind"]]
    for container in filter(None, (kind.backend, kind.proxy)):
        yield from _hiding(read(consumer, (*container, "env")), "name")
    yield from _hiding(read(consumer, ("spec", "env")), "name")
    yield from _hiding(read(consumer, ("spec", "secrets")), "targetEnvName")


def _hiding(entries: Any, key: str) -> list[str]:
    if not isinstance(entries, list):
        return []
    # Only compared, because a user's value may be of any shape; a consumer has hundreds of these.
    return [entry[key] for entry in entries if isinstance(entry, dict) and entry.get(key) in _VARIABLES]
