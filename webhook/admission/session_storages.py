"""Decides whether a SessionStorage is valid, and fills in its defaults. Pure.

The schema refuses much of this too, but it stops at the first kind of mistake, words it for programmers, and repeats
the value, which may be a password. The API server calls the webhook before it validates, so users see all problems at
once and in plain words.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from shared.errors import InvalidSpec
from shared.names import MAX_STORAGE_NAME
from shared.objects.field_path import dotted, put, read, shown
from shared.session_storage.endpoint import Endpoint
from shared.session_storage.secret_reference import secret_named
from shared.session_storage.sizes import DEFAULT_SIZE, DEFAULT_SIZES, Size, Sizes
from shared.session_storage.validation import CLASS_CHANGE_HINT, KIND_CHANGE_HINT, STORAGE_NAME_PATTERN
from webhook.admission.json_patch import diff
from webhook.admission.review import Allow, Deny, Patch
from webhook.admission.session_storage_spec import problems_of_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.objects.field_path import Path
    from shared.objects.resources import Object
    from shared.session_storage.allowed_hosts import AllowedHosts
    from webhook.admission.review import AdmissionRequest, Decision

_SIZE: Final = ("spec", "size")
_EXTERNAL: Final = ("spec", "external")
_ROTATION: Final = ("spec", "rotation")
_URL: Final = (*_EXTERNAL, "url")
_SECRET: Final = (*_EXTERNAL, "secretRef")
_NAMESPACES: Final = ("spec", "allowedNamespaces")
_CLASS: Final = ("spec", "storageClassName")
_STORAGE_NAME: Final = re.compile(STORAGE_NAME_PATTERN)
_SIZES: Final = {size.value: size for size in Size}
_GENERATED: Final = "x" * 5
"""Stands for the five letters or digits that Kubernetes appends to `generateName`."""


def secret_to_read(request: AdmissionRequest) -> str | None:
    """Name the Secret that the author must be allowed to read: the write has its password sent somewhere.

    Whoever names a Secret, or another address or other keys for one that is named already, could learn what is in it
    by a server of their own. None if the write does nothing of that.
    """
    storage = request.written
    secret = secret_named(read(storage or {}, _SECRET))
    if secret is None:
        return None
    return None if read(storage or {}, _EXTERNAL) == read(request.old_object or {}, _EXTERNAL) else secret


def decide(
    request: AdmissionRequest,
    allowed_hosts: AllowedHosts,
    sizes: Sizes = DEFAULT_SIZES,
    *,
    may_read: bool | None = True,
) -> Decision:
    """Refuse a SessionStorage with all that is wrong with it, or fill in its defaults.

    Args:
        request: The admission request.
        allowed_hosts: Which hosts external storages may name.
        sizes: What the sizes stand for.
        may_read: Whether the author may read what `secret_to_read` names; None if the API server did not say.
    """
    storage = request.written
    if storage is None or _is_untouched(storage, request.old_object):
        return Allow()
    problems = (*_problems_of_name(request), *problems_of_spec(storage), *_problems_of_change(request))
    forbidden = (
        *_problems_of_host(request, allowed_hosts),
        *_problems_of_secret(request, may_read=may_read),
    )
    if problems or forbidden:
        return Deny((*problems, *forbidden), reason="Invalid" if problems else "Forbidden")
    warnings = (
        *_warnings(storage, request.namespace),
        *_warnings_of_class(storage, sizes),
        *_warnings_of_change(request, sizes),
    )
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
    if read(new, _CLASS) != read(old, _CLASS):
        yield f"{dotted(_CLASS)}: Forbidden: {CLASS_CHANGE_HINT}"


def _problems_of_host(request: AdmissionRequest, allowed: AllowedHosts) -> Iterator[str]:
    """Say why the host may not be named, as far as one can tell without DNS; the reconciler judges what it leads to.

    A host that is in a Secret is the reconciler's to judge altogether.
    """
    url = read(request.written or {}, _URL)
    if url is None or url == read(request.old_object or {}, _URL):
        return
    try:
        host = Endpoint.of_url(url, request.namespace).host
    except InvalidSpec:
        return  # which is said already
    if problem := allowed.problem_of_host(host):
        yield (
            f"{dotted(_URL)}: Forbidden: {host} {problem}: name another host, or ask whoever installed this product"
            " to add it to the chart value external.allowedHosts"
        )


def _problems_of_secret(request: AdmissionRequest, *, may_read: bool | None) -> Iterator[str]:
    secret = secret_to_read(request)
    if secret is None or may_read:
        return
    path, namespace = dotted(_SECRET), request.namespace
    if may_read is None:
        yield (
            f"{path}: Forbidden: the API server did not say in time whether you may read Secret {shown(secret)}:"
            " try again"
        )
        return
    username, role = str(request.user.get("username")), f"read-{secret}"
    yield (
        f"{path}: Forbidden: user {shown(username)} may not read Secret {shown(secret)}, whose password would be sent"
        " to the store: somebody who may can write this SessionStorage, or give this user the right:"
        f" kubectl create role {shlex.quote(role)} -n {namespace} --verb=get --resource=secrets"
        f" --resource-name={shlex.quote(secret)};"
        f" kubectl create rolebinding {shlex.quote(role)} -n {namespace} --role={shlex.quote(role)}"
        f" --user={shlex.quote(username)}"
    )


def _warnings_of_class(storage: Object, sizes: Sizes) -> Iterator[str]:
    if read(storage, _CLASS) is None:
        return
    size = _size(storage, _SIZE)
    if read(storage, _EXTERNAL) is not None:
        yield "spec.storageClassName is ignored, because spec.external is set"
    elif size is not None and not sizes.of(size).is_persistent:
        yield f"spec.storageClassName is not used yet: a {size} storage has no disk"


def _warnings_of_change(request: AdmissionRequest, sizes: Sizes) -> Iterator[str]:
    new, old = request.object, request.old_object
    if new is None or old is None or read(new, _EXTERNAL) is not None:
        return
    wanted, before = _size(new, _SIZE), _size(old, _SIZE)
    if wanted is not None and before is not None and sizes.shrinks(before, wanted):
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
    if read(storage, _SECRET) is None:
        yield "spec.external.secretRef is not set: consumers will use the store without a password"
    url, is_shared = read(storage, _URL), any(other != namespace for other in read(storage, _NAMESPACES) or ())
    if url is not None and is_shared and not Endpoint.of_url(url, namespace).is_tls:
        yield (
            "spec.external.url has no TLS, and spec.allowedNamespaces opens the store to other namespaces: what they"
            " send crosses the network in plain text, the password included: use rediss:// or valkeys://"
        )
