"""Decides how a consumer must change before it is stored. Pure.

The rule itself is `shared.wiring`; here stand the cases that only an admission request knows, and the warnings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared import wiring
from shared.errors import InvalidSpec
from shared.fieldpath import put, read
from shared.names import KEY_REDIS_PASSWORD, KEY_REDIS_URL, KEY_STORAGE_TYPE
from webhook.jsonpatch import diff
from webhook.review import Allow, Deny, Patch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.reference import StorageReference
    from shared.resources import Key, Object
    from webhook.review import AdmissionRequest, Decision

_NAMESPACE: Final = ("metadata", "namespace")
_NAME: Final = ("metadata", "name")
_VARIABLES: Final = frozenset({KEY_REDIS_URL, KEY_REDIS_PASSWORD, KEY_STORAGE_TYPE})


def decide(request: AdmissionRequest, storages: Mapping[Key, Object]) -> Decision:
    """Wire a consumer that refers to a storage, unwire one that no longer does.

    Args:
        request: About a consumer of any kind in `wiring.KINDS`.
        storages: Every SessionStorage that is known; one that is missing may come later.
    """
    if request.written is None or _is_untouched(request.written, request.old_object):
        return Allow()
    consumer = request.written
    if read(consumer, _NAMESPACE) is None:
        consumer = put(consumer, _NAMESPACE, request.namespace)
    try:
        recorded = consumer if request.old_object is None else wiring.with_record_of(consumer, request.old_object)
        reference = wiring.reference_of(recorded, field_is_served=_is_field_served(request.old_object))
        if reference is None:
            return _changed(consumer, wiring.unwire(recorded), ())
        storage = storages.get(reference.key)
        is_external = storage is not None and _is_external(storage)
        wired = wiring.wire(recorded, reference, storage_is_external=is_external)
    except InvalidSpec as error:
        return Deny(error.problems)
    return _changed(consumer, wired, tuple(_warnings(wired, reference, storage)))


def _changed(consumer: Object, desired: Object, warnings: tuple[str, ...]) -> Decision:
    operations = diff(consumer, desired)
    return Patch(operations, warnings) if operations else Allow(warnings)


def _is_untouched(consumer: Object, previous: Object | None) -> bool:
    """Tell whether a write is about something else, such as a finalizer: it passes whatever the rules are now."""
    if previous is None:
        return False
    annotations = ("metadata", "annotations")
    return bool(
        consumer.get("spec") == previous.get("spec") and read(consumer, annotations) == read(previous, annotations)
    )


def _is_field_served(previous: Object | None) -> bool:
    """Tell whether a missing `sessionStorageRef` was taken out by this very request.

    While ToolHive's CRD lacks the field, the API server prunes it from the stored object as well as from the new one.
    """
    return previous is None or wiring.has_field(previous)


def _is_external(storage: Object) -> bool:
    return read(storage, ("spec", "external")) is not None


def _warnings(wired: Object, reference: StorageReference, storage: Object | None) -> Iterator[str]:
    namespace = read(wired, _NAMESPACE)
    secret = wiring.secret_of(reference, namespace)
    if storage is None:
        yield f'SessionStorage "{reference}" does not exist (yet): pods wait until Secret "{secret}" exists'
    elif _is_external(storage):
        yield (
            f'SessionStorage "{reference}" is external: backend pods get its connection, ToolHive\'s proxies do not:'
            " their spec.sessionStorage stays as you set it"
        )
    if reference.namespace != namespace:
        yield (
            f'SessionStorage "{reference}" is in another namespace: pods wait until its connection has been mirrored'
            f' here as Secret "{secret}"'
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
    for variable in sorted(_VARIABLES & set(_own_variables(wired))):
        yield f'environment variable {variable} of your own hides the one of SessionStorage "{reference}"'


def _own_variables(consumer: Object) -> Iterator[str]:
    """List the variables that the user sets for the backend: Kubernetes prefers them over `envFrom`."""
    kind = wiring.KINDS[consumer["kind"]]
    if kind.env_from:
        yield from _strings(read(consumer, (*kind.env_from[:-1], "env")), "name")
    yield from _strings(read(consumer, ("spec", "env")), "name")
    yield from _strings(read(consumer, ("spec", "secrets")), "targetEnvName")


def _strings(entries: Any, key: str) -> Iterator[str]:
    if isinstance(entries, list):
        values = (entry.get(key) for entry in entries if isinstance(entry, dict))
        yield from (value for value in values if isinstance(value, str))
