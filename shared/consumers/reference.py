"""How a consumer names its storage: by `spec.sessionStorageRef` or by annotation. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from shared.errors import InvalidSpec
from shared.names import ANNOTATION_STORAGE, MAX_STORAGE_NAME
from shared.objects.field_path import dotted, read, shown, unknown_fields
from shared.session_storage.validation import STORAGE_NAME_PATTERN

if TYPE_CHECKING:
    from shared.objects.resources import Key, Object

FIELD_PATH: Final = ("spec", "sessionStorageRef")
ANNOTATIONS: Final = ("metadata", "annotations")
ANNOTATION_PATH: Final = (*ANNOTATIONS, ANNOTATION_STORAGE)
_FIELD_TEXT: Final = dotted(FIELD_PATH)
_ANNOTATION_TEXT: Final = dotted(ANNOTATION_PATH)

_STORAGE_NAME: Final = re.compile(STORAGE_NAME_PATTERN)
_NAMESPACE: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_MAX_NAMESPACE: Final = 63


@dataclass(frozen=True, slots=True)
class StorageReference:
    """The storage that a consumer names, by `spec.sessionStorageRef` or else by annotation."""

    namespace: str
    name: str
    is_by_field: bool = field(default=True, compare=False)

    @property
    def key(self) -> Key:
        """Namespace and name, by which caches find the storage."""
        return self.namespace, self.name

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def stated_reference(consumer: Object) -> StorageReference | None:
    """Read the reference that a consumer states; field and annotation may both, if they agree.

    Raises:
        InvalidSpec: A reference is malformed, or there are two different ones.
    """
    namespace = read(consumer, ("metadata", "namespace")) or ""
    problems: list[str] = []
    by_field = _by_field(read(consumer, FIELD_PATH), namespace, problems)
    by_annotation = _by_annotation(read(consumer, ANNOTATION_PATH), namespace, problems)
    if by_field and by_annotation and by_field != by_annotation:
        problems.append(
            f'{_ANNOTATION_TEXT}: Invalid value: names SessionStorage "{by_annotation}",'
            f' but {_FIELD_TEXT} names "{by_field}": keep one of them'
        )
    if problems:
        raise InvalidSpec(problems)
    return by_field or by_annotation


def reference_named(text: str, *, is_by_field: bool) -> StorageReference:
    """Read `namespace/name`.

    Raises:
        InvalidSpec: The text names no storage.
    """
    problems: list[str] = []
    namespace, _, name = text.partition("/")
    reference = _checked("storage", (namespace, name), problems, is_by_field=is_by_field)
    if reference is None:
        raise InvalidSpec(problems)
    return reference


def _by_field(value: Any, own_namespace: str, problems: list[str]) -> StorageReference | None:
    path = _FIELD_TEXT
    match value:
        case None:
            return None
        case str():
            return _checked(path, (own_namespace, value), problems)
        case dict():
            problems += unknown_fields(path, sorted(value.keys() - _PARTS))
            stated, name = value.get("namespace"), value.get("name")
            namespace = own_namespace if stated is None or stated == "" else stated
            if name is None:
                problems.append(f"{path}.name: Required value")
                return None
            if isinstance(name, str) and isinstance(namespace, str):
                return _checked(path, (namespace, name), problems)
            problems.append(f"{path}: Invalid value: name and namespace must be strings")
        case _:
            problems.append(f"{path}: Invalid value: must be a name, or an object with name and namespace")
    return None


_PARTS: Final = frozenset({"name", "namespace"})


def _by_annotation(value: Any, own_namespace: str, problems: list[str]) -> StorageReference | None:
    if value is None:
        return None
    path = _ANNOTATION_TEXT
    if not isinstance(value, str) or value.count("/") > 1 or value.startswith("/"):
        problems.append(f"{path}: Invalid value: must be [namespace/]name")
        return None
    namespace, _, name = value.rpartition("/")
    return _checked(path, (namespace if "/" in value else own_namespace, name), problems, is_by_field=False)


def _checked(path: str, key: Key, problems: list[str], *, is_by_field: bool = True) -> StorageReference | None:
    namespace, name = key
    found = []
    if len(name) > MAX_STORAGE_NAME or not _STORAGE_NAME.fullmatch(name):
        found.append(
            f"{path}: Invalid value: {shown(name)}: a SessionStorage's name has at most {MAX_STORAGE_NAME} lower-case"
            " letters, digits or '-', starts with a letter and ends with a letter or digit"
        )
    if namespace and (len(namespace) > _MAX_NAMESPACE or not _NAMESPACE.fullmatch(namespace)):
        found.append(f"{path}: Invalid value: {shown(namespace)}: not the name of a namespace")
    problems += found
    return None if found else StorageReference(namespace, name, is_by_field)
