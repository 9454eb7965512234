"""Decides whether a SessionStorage is valid, and fills in its defaults. Pure.

The schema refuses much of this too, but it stops at the first kind of mistake, words it for programmers, and repeats
the value, which may be a password. The API server calls the webhook before it validates, so users see all problems at
once and in plain words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shared.names import MAX_STORAGE_NAME
from shared.objects.field_path import put, read, shown
from shared.session_storage.endpoint import Endpoint
from shared.session_storage.sizes import DEFAULT_SIZE, Size, shrinks
from shared.session_storage.validation import KIND_CHANGE_HINT, STORAGE_NAME_PATTERN
from webhook.admission.json_patch import diff
from webhook.admission.review import Allow, Deny, Patch
from webhook.admission.session_storage_spec import problems_of_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.objects.field_path import Path
    from shared.objects.resources import Object
    from webhook.admission.review import AdmissionRequest, Decision

_SIZE: Final = ("spec", "size")
_EXTERNAL: Final = ("spec", "external")
_ROTATION: Final = ("spec", "rotation")
_URL: Final = (*_EXTERNAL, "url")
_NAMESPACES: Final = ("spec", "allowedNamespaces")
_STORAGE_NAME: Final = re.compile(STORAGE_NAME_PATTERN)
_SIZES: Final = {size.value: size for size in Size}
_GENERATED: Final = "x" * 5
"""Stands for the five letters or digits that Kubernetes appends to `generateName`."""


def decide(request: AdmissionRequest) -> Decision:
    """Refuse a SessionStorage with all that is wrong with it, or fill in its defaults."""
    storage = request.written
    if storage is None or _is_untouched(storage, request.old_object):
        return Allow()
    problems = (*_problems_of_name(request), *problems_of_spec(storage), *_problems_of_change(request))
    if problems:
        return Deny(problems)
    warnings = (*_warnings(storage, request.namespace), *_warnings_of_change(request))
    operations = diff(storage, _defaulted(storage))
    return Patch(operations, warnings) if operations else Allow(warnings)


def _is_untouched(storage: Object, previous: Object | None) -> bool:
    """Tell whether a write leaves the spec as it is; it must pass even if it breaks a newer rule."""
    return previous is not None and storage.get("spec") == previous.get("spec")


def _defaulted(storage: Object) -> Object:
    if read(storage, _SIZE) is None and read(storage, _EXTERNAL) is None:
        return put(storage, _SIZE, DEFAULT_SIZE.value)
    return storage


def _problems_of_name(request: AdmissionRequest) -> Iterator[str]:
    metadata = (request.object or {}).get("metadata", {})
    if request.operation != "CREATE":
        return
    if name := metadata.get("name"):
        yield from _problems_of_text("metadata.name", name)
    elif isinstance(prefix := metadata.get("generateName"), str) and prefix:
        yield from _problems_of_text("metadata.generateName", prefix, _GENERATED)


def _problems_of_text(path: str, text: str, appended: str = "") -> Iterator[str]:
    if len(text + appended) > MAX_STORAGE_NAME:
        yield f"{path}: Too long: may not be more than {MAX_STORAGE_NAME - len(appended)} bytes"
    if not _STORAGE_NAME.fullmatch(text + appended):
        end = "" if appended else " and end with a letter or digit"
        yield (
            f"{path}: Invalid value: {shown(text)}: must consist of lower-case letters, digits or '-', start with a"
            f" letter{end}"
        )


def _problems_of_change(request: AdmissionRequest) -> Iterator[str]:
    new, old = request.object, request.old_object
    if new is None or old is None:
        return
    if (read(new, _EXTERNAL) is None) != (read(old, _EXTERNAL) is None):
        yield f"spec.external: Forbidden: {KIND_CHANGE_HINT}"


def _warnings_of_change(request: AdmissionRequest) -> Iterator[str]:
    new, old = request.object, request.old_object
    if new is None or old is None or read(new, _EXTERNAL) is not None:
        return
    wanted, before = _size(new, _SIZE), _size(old, _SIZE)
    if wanted is not None and before is not None and shrinks(before, wanted):
        yield f"spec.size: {wanted} instances keep the disk of {before} ones: Kubernetes shrinks no volume"


def _size(storage: Object, path: Path) -> Size | None:
    """Read a size; None if it is unknown."""
    value = read(storage, path)
    return DEFAULT_SIZE if value is None else _SIZES.get(value) if isinstance(value, str) else None


def _warnings(storage: Object, namespace: str) -> Iterator[str]:
    if read(storage, _EXTERNAL) is None:
        return
    if read(storage, _SIZE) is not None:
        yield "spec.size is ignored, because spec.external is set"
    if read(storage, _ROTATION) is not None:
        yield "spec.rotation is ignored, because spec.external is set: only its owner can change that password"
    if read(storage, (*_EXTERNAL, "secretRef")) is None:
        yield "spec.external.secretRef is not set: consumers will use the store without a password"
    is_shared = any(other != namespace for other in read(storage, _NAMESPACES) or ())
    if is_shared and not Endpoint.of_url(read(storage, _URL)).is_tls:
        yield (
            "spec.external.url has no TLS, and spec.allowedNamespaces opens the store to other namespaces: what they"
            " send crosses the network in plain text, the password included: use rediss:// or valkeys://"
        )
