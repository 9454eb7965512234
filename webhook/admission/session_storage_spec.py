"""Lists what is wrong with the spec of a SessionStorage, worded as Kubernetes words field errors. Pure.

The models word errors as pydantic does; this module turns these into field errors with the path of each field. It never
repeats any part of a URL, which may hold a password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from shared.objects.field_path import read, shown
from shared.session_storage.models import SessionStorageSpec
from shared.session_storage.sizes import Size
from shared.session_storage.validation import MAX_NAMESPACES, URL_HINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.objects.resources import Object

_URL: Final = ("external", "url")
_SCHEMES: Final = ("redis", "rediss", "valkey", "valkeys")
_SHAPES: Final = {
    **dict.fromkeys(("string_type", "enum"), "a string"),
    **dict.fromkeys(("model_type", "dict_type"), "an object"),
    "tuple_type": "an array",
}
"""The shape that a field should have, by the type of pydantic's error."""


def problems_of_spec(storage: Object) -> Iterator[str]:
    """List all that is wrong with the spec, each problem once and with the path of its field."""
    spec = storage.get("spec")
    if spec is None:
        yield "spec: Required value"
        return
    try:
        SessionStorageSpec.model_validate(spec)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if detail["loc"] != _URL:
                yield _problem_of_field(detail)
            else:
                yield from _problems_of_url(detail)
    else:
        yield from _problems_of_address(read(storage, ("spec", *_URL)))
    yield from _duplicates(read(storage, ("spec", "allowedNamespaces")))


def _problem_of_field(detail: Any) -> str:
    path, value, bounds = _path(detail["loc"]), detail["input"], detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return f"{path}: Required value"
        case "enum" if isinstance(value, str | int | float):
            supported = ", ".join(f'"{size}"' for size in Size)
            return f"{path}: Unsupported value: {shown(value)}: supported values: {supported}"
        case "string_too_long":
            return f"{path}: Too long: may not be more than {bounds['max_length']} bytes"
        case "too_long":
            return f"{path}: Too many: {len(value)}: must have at most {bounds['max_length']} items"
        case "value_error":
            return f"{path}: Invalid value: {shown(value)}: {bounds['error']}"
        case kind:
            return f"{path}: Invalid value: must be {_SHAPES[kind]}"


def _problems_of_url(detail: Any) -> Iterator[str]:
    if detail["type"] != "value_error":
        yield _problem_of_field(detail)
    if isinstance(detail["input"], str):
        problems = tuple(_problems_of_address(detail["input"]))
        if detail["type"] == "value_error" and not problems:
            problems = (f"{_path(_URL)}: Invalid value: {URL_HINT}",)
        yield from problems


def _problems_of_address(url: str | None) -> Iterator[str]:
    if url is None:
        return
    path = _path(_URL)
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


def _duplicates(namespaces: Any) -> Iterator[str]:
    """List duplicates: the API server refuses them in a set."""
    if not isinstance(namespaces, list):
        return
    seen: set[str] = set()
    for index, namespace in enumerate(namespaces[:MAX_NAMESPACES]):
        if isinstance(namespace, str) and namespace in seen:
            yield f"{_path(('allowedNamespaces', index))}: Duplicate value: {shown(namespace)}"
        elif isinstance(namespace, str):
            seen.add(namespace)


def _path(steps: tuple[str | int, ...]) -> str:
    if steps[-1:] == ("[key]",):  # so pydantic marks an error in the key of a map; the value of that error is the key
        steps = steps[:-2]
    return "spec" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
