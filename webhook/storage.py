"""Decides whether a SessionStorage is sound, and what it means where it is silent. Pure.

Its schema refuses much of this too. But a schema stops at the first kind of mistake, in words made for programmers,
and repeats what it refuses, which may be a password; here all problems come at once, before the schema is asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from shared.fieldpath import put, read, shown
from shared.names import MAX_STORAGE_NAME
from shared.sessionstorage import STORAGE_NAME_PATTERN, URL_HINT, SessionStorageSpec
from shared.sizes import DEFAULT_SIZE, Size
from webhook.jsonpatch import diff
from webhook.review import Allow, Deny, Patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.resources import Object
    from webhook.review import AdmissionRequest, Decision

_SIZE: Final = ("spec", "size")
_EXTERNAL: Final = ("spec", "external")
_ROTATION: Final = ("spec", "rotation")
_URL: Final = ("external", "url")
_STORAGE_NAME: Final = re.compile(STORAGE_NAME_PATTERN)
_SCHEMES: Final = ("redis", "rediss", "valkey", "valkeys")


def decide(request: AdmissionRequest) -> Decision:
    """Refuse a SessionStorage with all that is wrong with it, or fill in its defaults."""
    storage = request.written
    if storage is None or _is_untouched(storage, request.old_object):
        return Allow()
    problems = (*_problems_of_name(request), *_problems_of_spec(storage), *_problems_of_change(request))
    if problems:
        return Deny(problems)
    warnings = tuple(_warnings(storage))
    operations = diff(storage, _defaulted(storage))
    return Patch(operations, warnings) if operations else Allow(warnings)


def _is_untouched(storage: Object, previous: Object | None) -> bool:
    """Tell whether a write is about metadata only, and must pass even where rules have changed."""
    return previous is not None and storage.get("spec") == previous.get("spec")


def _defaulted(storage: Object) -> Object:
    if read(storage, _SIZE) is None and read(storage, _EXTERNAL) is None:
        return put(storage, _SIZE, DEFAULT_SIZE.value)
    return storage


def _problems_of_name(request: AdmissionRequest) -> Iterator[str]:
    name = read(request.object or {}, ("metadata", "name"))
    if request.operation != "CREATE" or not name:
        return
    if len(name) > MAX_STORAGE_NAME:
        yield f"metadata.name: Too long: may not be more than {MAX_STORAGE_NAME} bytes"
    if not _STORAGE_NAME.fullmatch(name):
        yield (
            f"metadata.name: Invalid value: {shown(name)}: must consist of lower-case letters, digits or '-', start"
            " with a letter and end with a letter or digit"
        )


def _problems_of_spec(storage: Object) -> Iterator[str]:
    spec = storage.get("spec")
    if spec is None:
        yield "spec: Required value"
        return
    try:
        SessionStorageSpec.model_validate(spec)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            yield from _problems_of_field(detail)
    else:
        yield from _problems_of_address(read(storage, ("spec", *_URL)))


def _problems_of_field(detail: Any) -> Iterator[str]:
    """Put one of pydantic's errors into Kubernetes' words."""
    path = ".".join(("spec", *map(str, detail["loc"])))
    match detail["type"]:
        case "missing":
            yield f"{path}: Required value"
        case "enum" if isinstance(detail["input"], str | int | float):
            supported = ", ".join(f'"{size}"' for size in Size)
            yield f"{path}: Unsupported value: {shown(detail['input'])}: supported values: {supported}"
        case "string_type" | "enum":
            yield f"{path}: Invalid value: must be a string"
        case "model_type":
            yield f"{path}: Invalid value: must be an object"
        case "string_too_long":
            yield f"{path}: Too long: may not be more than {detail['ctx']['max_length']} bytes"
        case "value_error" if tuple(detail["loc"]) == _URL:
            yield from tuple(_problems_of_address(detail["input"])) or (f"{path}: Invalid value: {URL_HINT}",)
        case "value_error":
            yield f"{path}: Invalid value: {shown(detail['input'])}: {detail['ctx']['error']}"
        case "string_pattern_mismatch":
            yield (
                f"{path}: Invalid value: {shown(detail['input'])}: must consist of lower-case letters, digits, '-' or"
                " '.', and start and end with a letter or digit"
            )
        case _:
            yield f"{path}: Invalid value: {detail['msg']}"


def _problems_of_address(url: str | None) -> Iterator[str]:
    """Say what is wrong with an address, of which nothing is repeated: it may hold a password."""
    if url is None:
        return
    path = ".".join(("spec", *_URL))
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        yield f"{path}: Unsupported value: must start with {', '.join(f'{known}://' for known in _SCHEMES)}"
    if "@" in url:
        yield (
            f"{path}: Forbidden: must not hold a user name or password: put them into the Secret that"
            " spec.external.secretRef names"
        )
    if "?" in url or "#" in url:
        yield f"{path}: Forbidden: must not have a query or fragment"
    if separator and not _has_host_and_port(rest):
        yield f"{path}: Invalid value: must name a host, and a port between 1 and 65535 or none"


def _has_host_and_port(rest: str) -> bool:
    try:
        parts = urlsplit(f"//{rest}")
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _problems_of_change(request: AdmissionRequest) -> Iterator[str]:
    if request.object is None or request.old_object is None:
        return
    if (read(request.object, _EXTERNAL) is None) != (read(request.old_object, _EXTERNAL) is None):
        yield (
            "spec.external: Forbidden: a storage cannot change between managed and external in place: create a new"
            " SessionStorage"
        )


def _warnings(storage: Object) -> Iterator[str]:
    if read(storage, _EXTERNAL) is None:
        return
    if read(storage, _SIZE) is not None:
        yield "spec.size is ignored, because spec.external is set"
    if read(storage, _ROTATION) is not None:
        yield "spec.rotation is ignored, because spec.external is set: that password is changed by its owner"
    if read(storage, (*_EXTERNAL, "secretRef")) is None:
        yield "spec.external.secretRef is not set: the store will be used without a password"
