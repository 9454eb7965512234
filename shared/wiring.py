"""What a consumer of a storage looks like: the one rule that webhook and reconciler share. Pure.

A reference names the storage; wiring puts what its kind takes into the consumer and writes down, in an annotation,
exactly what was put there. Unwiring goes by that record alone, so that a user's own settings stay, even equal ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared import names
from shared.errors import InvalidSpec
from shared.fieldpath import Path, dotted, is_below, is_hollow, path_of, pointer, put, read, without
from shared.reference import ANNOTATIONS, FIELD, StorageReference, reference_named, stated_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.resources import Object

_RECORD: Final = (*ANNOTATIONS, names.ANNOTATION_WIRED)
_SESSION_STORAGE: Final = ("spec", "sessionStorage")
_MAX_RECORDED: Final = 32
"""Twice the paths that any kind has; a longer list was not written here."""


@dataclass(frozen=True, slots=True)
class ConsumerKind:
    """Where one kind of consumer takes what; a kind without such a place has None.

    Attributes:
        env_from: Sources of the environment of the container that runs the backend.
        backend_labels: Labels of backend pods.
        proxy_labels: Labels of proxy pods.
    """

    env_from: Path | None
    backend_labels: Path | None
    proxy_labels: Path | None


KINDS: Final[Mapping[str, ConsumerKind]] = {
    "MCPServer": ConsumerKind(
        env_from=("spec", "podTemplateSpec", "spec", "containers", "mcp", "envFrom"),
        backend_labels=("spec", "podTemplateSpec", "metadata", "labels"),
        proxy_labels=("spec", "resourceOverrides", "proxyDeployment", "podTemplateMetadataOverrides", "labels"),
    ),
}
"""Source: ToolHive `cmd/thv-operator/api/v1beta1/mcpserver_types.go`."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was put into a consumer, and for whom.

    Attributes:
        reference: The storage, and whether the field or the annotation named it.
        put: Value of each field that was absent before, by path.
        made: The topmost objects and arrays that had to be made to hold them.
    """

    reference: StorageReference
    put: Mapping[Path, Any]
    made: tuple[Path, ...]


def reference_of(consumer: Object, *, field_is_served: bool = True) -> StorageReference | None:
    """Tell which storage a consumer refers to.

    Args:
        consumer: Any of the known kinds.
        field_is_served: Whether an absent `spec.sessionStorageRef` means that there is none. While ToolHive's CRD
            lacks the field, objects lose it on reading: then a reference that was made by field lives on in the record.

    Raises:
        InvalidSpec: A reference is malformed, or field and annotation contradict each other.
    """
    reference = stated_reference(consumer)
    if reference is None and not field_is_served:
        record = record_of(consumer)
        if record is not None and record.reference.is_by_field:
            return record.reference
    return reference


def wire(consumer: Object, reference: StorageReference, *, storage_is_external: bool = False) -> Object:
    """Give a consumer all that it needs to use a storage, and nothing that it needed for another one.

    Args:
        consumer: Stays as it is.
        reference: The storage.
        storage_is_external: Proxies can't be told of an external storage yet, so only backends are.

    Raises:
        InvalidSpec: The user's own settings contradict, or are of another shape than ToolHive's.
    """
    wired = _bare(consumer)
    added: dict[Path, Any] = {}
    made: list[Path] = []
    problems: list[str] = []
    for path, value in _settings(consumer, reference, storage_is_external=storage_is_external):
        present = read(wired, path)
        try:
            if present is None:
                wired = put(wired, path, value, made)
                added[path] = value
            elif not _agrees(present, path, value):
                problems.append(_contradiction(path, value, reference))
        except InvalidSpec as error:
            problems += error.problems
    if problems:
        raise InvalidSpec(list(dict.fromkeys(problems)))
    return put(wired, _RECORD, _recorded(Record(reference, added, tuple(made))))


def unwire(consumer: Object) -> Object:
    """Take out of a consumer what `wire` put there and nobody has changed since; the very object if that is nothing."""
    record, bare = record_of(consumer), _bare(consumer)
    if record is None or read(bare, (*_SESSION_STORAGE, "provider")) is not None:
        return bare
    # Of no use without a provider, and refused by ToolHive's schema: what was added to it meanwhile goes too.
    return without(bare, _SESSION_STORAGE) if is_below(_SESSION_STORAGE, record.made) else bare


def record_of(consumer: Object) -> Record | None:
    """Read what the annotation says was put into a consumer; None if it says nothing intelligible."""
    text = read(consumer, _RECORD)
    try:
        content = orjson.loads(text)
        reference = reference_named(content["storage"], is_by_field=content["by"] == "field")
        added = {path_of(key): value for key, value in content["put"].items()}
        made = tuple(path_of(key) for key in content["made"])
    except (ValueError, TypeError, KeyError, AttributeError, InvalidSpec):
        return None
    paths = (*added, *made)
    if len(paths) > _MAX_RECORDED or any(path[:1] != ("spec",) for path in paths):
        return None
    return Record(reference, added, made)


def with_record_of(consumer: Object, previous: Object) -> Object:
    """Give a consumer that lost its record the one that its previous state had."""
    if record_of(consumer) is not None or record_of(previous) is None:
        return consumer
    return put(consumer, _RECORD, read(previous, _RECORD))


def secret_of(reference: StorageReference, consumer_namespace: str) -> str:
    """Name the Secret beside the consumer that holds the storage's connection."""
    if reference.namespace == consumer_namespace:
        return names.connection_secret(reference.name)
    return names.mirrored_connection_secret(reference.name, reference.namespace)


def has_field(consumer: Object) -> bool:
    """Tell whether the consumer has a `spec.sessionStorageRef`, of whatever shape."""
    return read(consumer, FIELD) is not None


def _bare(consumer: Object) -> Object:
    """Undo what the record says, as far as nobody has changed it since."""
    record = record_of(consumer)
    bare = without(consumer, _RECORD)
    if bare is not consumer and not read(bare, ANNOTATIONS):
        # To the API server, no annotations and an empty object of them are the same.
        bare = without(bare, ANNOTATIONS)
    if record is None:
        return bare
    for path, value in record.put.items():
        if read(bare, path) == value:
            bare = without(bare, path)
        bare = _without_hollows_above(bare, path, record.made)
    return bare


def _settings(
    consumer: Object, reference: StorageReference, *, storage_is_external: bool
) -> Iterator[tuple[Path, Any]]:
    """List the fields that a consumer of this storage has."""
    kind = KINDS.get(str(consumer.get("kind")))
    if kind is None:
        raise InvalidSpec(["kind: Unsupported value: supported values: " + ", ".join(f'"{known}"' for known in KINDS)])
    namespace, name = read(consumer, ("metadata", "namespace")) or "", read(consumer, ("metadata", "name"))
    secret = secret_of(reference, namespace)
    if kind.env_from:
        # Appended, because of two sources with the same variable the last one wins.
        yield (*kind.env_from, secret), {"secretRef": {"name": secret}}
    if storage_is_external:
        return
    if kind.backend_labels:
        yield (*kind.backend_labels, names.LABEL_CONSUMER_OF), reference.name
    if kind.proxy_labels:
        yield (*kind.proxy_labels, names.LABEL_COMPONENT), names.COMPONENT_PROXY
    if name:
        # With generateName there is no name before admission, and without a name no key prefix of one's own.
        for field, value in _session_storage(reference, secret, names.key_prefix(namespace, name)).items():
            yield (*_SESSION_STORAGE, field), value


def _session_storage(reference: StorageReference, secret: str, key_prefix: str) -> Object:
    """Write ToolHive's own `spec.sessionStorage`, which its proxies read."""
    return {
        "provider": "redis",
        "address": f"{names.valkey_host(reference.name, reference.namespace)}:{names.VALKEY_PORT}",
        "db": 0,
        "keyPrefix": key_prefix,
        "passwordRef": {"name": secret, "key": names.KEY_REDIS_PASSWORD},
    }


def _without_hollows_above(consumer: Object, path: Path, made: tuple[Path, ...]) -> Object:
    """Take away what was made to hold a field, from the inside out, as far as nobody has put anything else there."""
    for length in range(len(path) - 1, 0, -1):
        above = path[:length]
        if not is_below(above, made) or not is_hollow(read(consumer, above), above[-1]):
            break
        consumer = without(consumer, above)
    return consumer


def _agrees(present: Any, path: Path, value: Any) -> bool:
    # An envFrom entry is found by its Secret; the rest of it, such as `optional`, is the user's.
    return path[-2] == "envFrom" or bool(present == value)


def _contradiction(path: Path, value: Any, reference: StorageReference) -> str:
    """Say what is in the way; not what it is, because people put passwords into addresses."""
    needed = orjson.dumps(value).decode()
    return f'{dotted(path)}: Invalid value: SessionStorage "{reference}" needs {needed} here: leave the field out'


def _recorded(record: Record) -> str:
    content = {
        "by": "field" if record.reference.is_by_field else "annotation",
        "made": [pointer(path) for path in record.made],
        "put": {pointer(path): value for path, value in record.put.items()},
        "storage": str(record.reference),
    }
    return orjson.dumps(content).decode()
