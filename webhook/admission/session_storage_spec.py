"""Lists what is wrong with the spec of a SessionStorage, worded as Kubernetes words field errors. Pure.

The models word errors as pydantic does; this module turns these into field errors with the path of each field. It never
repeats any part of a URL, which may hold a password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from shared.objects.field_path import read, shown, unknown_fields
from shared.session_storage.models import SessionStorageSpec
from shared.session_storage.secret_reference import UNKNOWN_FIELD
from shared.session_storage.sizes import Size
from shared.session_storage.validation import MAX_NAMESPACES, URL_HINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.objects.resources import Object

_URL: Final = ("external", "url")
_SECRET: Final = ("external", "secretRef")
_SCHEMES: Final = ("redis", "rediss", "valkey", "valkeys")
_ONE_HOST: Final = "name the primary's Service, as redis://host:port"
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
        details = error.errors(include_url=False)
        for detail in details:
            if detail["type"] == UNKNOWN_FIELD:
                continue
            if detail["loc"] != _URL:
                yield _problem_of_field(detail, _path(_written(spec, detail["loc"])))
            else:
                yield from _problems_of_url(detail)
        unknown = sorted(str(detail["loc"][-1]) for detail in details if detail["type"] == UNKNOWN_FIELD)
        yield from unknown_fields(_path(_SECRET), unknown)
    else:
        yield from _problems_of_address(read(storage, ("spec", *_URL)))
    yield from _duplicates(read(storage, ("spec", "allowedNamespaces")))


def _written(spec: Any, steps: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Cut a path off below a text: the model reads the name of a Secret as an object, where its user wrote none.

    Pydantic marks an error in the key of a map by two further steps; the value of that error is the key.
    """
    if steps[-1:] == ("[key]",):
        return steps[:-2]
    node = spec
    for index, step in enumerate(steps):
        if isinstance(node, str):
            return steps[:index]
        node = node.get(step) if isinstance(node, dict) else None
    return steps


def _problem_of_field(detail: Any, path: str) -> str:
    value, bounds = detail["input"], detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            problem = "Required value"
        case "no_address":
            problem = f"Required value: {detail['msg']}"
        case "enum" if isinstance(value, str | int | float):
            supported = ", ".join(f'"{size}"' for size in Size)
            problem = f"Unsupported value: {shown(value)}: supported values: {supported}"
        case "string_too_long":
            problem = f"Too long: may not be more than {bounds['max_length']} bytes"
        case "too_long":
            problem = f"Too many: {len(value)}: must have at most {bounds['max_length']} items"
        case "value_error":
            problem = f"Invalid value: {shown(value)}: {bounds['error']}"
        case _ if detail["loc"] == _SECRET:
            problem = "Invalid value: must be a name, or an object with a name and keys"
        case kind:
            problem = f"Invalid value: must be {_SHAPES[kind]}"
    return f"{path}: {problem}"


def _problems_of_url(detail: Any) -> Iterator[str]:
    if detail["type"] != "value_error":
        yield _problem_of_field(detail, _path(_URL))
    if isinstance(detail["input"], str):
        problems = tuple(_problems_of_address(detail["input"]))
        if detail["type"] == "value_error" and not problems:
            problems = (f"{_path(_URL)}: Invalid value: {URL_HINT}",)
        yield from problems


def _problems_of_address(url: str | None) -> Iterator[str]:
    """Say what is wrong with the URL of an external store, and what to write in place of it."""
    if url is None:
        return
    path = _path(_URL)
    scheme, separator, rest = url.partition("://")
    is_known = bool(separator) and scheme.lower() in _SCHEMES
    if not is_known:
        yield f"{path}: Unsupported value: {_in_place_of(scheme.lower() if separator else '', url)}"
    if "@" in url:
        yield (
            f"{path}: Forbidden: must not hold a user name or password: put them into the Secret that"
            " spec.external.secretRef names"
        )
    if "?" in url or "#" in url:
        yield (
            f"{path}: Forbidden: must not have a query or fragment: rediss:// asks for TLS, /1 for the database 1, and"
            " certificates belong into the Secret's key ca.crt"
        )
    if is_known and "," in rest:
        yield f"{path}: Invalid value: must name one host: {_ONE_HOST}"
    elif is_known and not _has_host_and_port(rest):
        yield f"{path}: Invalid value: must name a host, and a port between 1 and 65535 or none"


def _in_place_of(scheme: str, url: str) -> str:
    """Tell what to write in place of a scheme that ToolHive's proxies do not speak."""
    if "sentinel" in scheme:
        return f"Sentinel is not supported: {_ONE_HOST}"
    if "cluster" in scheme:
        return (
            "cluster mode is not supported, because ToolHive's proxies are no cluster clients: use a store with cluster"
            " mode disabled, and name it as redis://host:port"
        )
    if any(kind in scheme for kind in ("unix", "socket", "file")) or url.startswith("/"):
        return (
            "a socket is on one host alone: have the store listen on a port, and name its Service as redis://host:port"
        )
    if not scheme and "," in url and "=" in url:
        return (
            "this is the connection string of a .NET client: write rediss://host:port, and put the password into the"
            " Secret that spec.external.secretRef names"
        )
    return f"must start with {', '.join(f'{known}://' for known in _SCHEMES)}"


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
    return "spec" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
