"""AdmissionReview JSON in, decision out: the only module that knows `admission.k8s.io/v1`. Pure."""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import orjson

from shared.errors import MalformedReview
from shared.objects.resources import is_terminating

if TYPE_CHECKING:
    from shared.objects.resources import Object

_TEXT_OR_NONE: Final = (str, type(None))
"""A tuple: `str | None` in a check would build that union anew each time, which takes ten times as long."""
_CODES: Final = {"Invalid": 422, "Forbidden": 403, "Conflict": 409}
"""HTTP status of each reason, as the API server itself pairs them."""

MAX_VALUES: Final = 250_000
"""Most values in a review: two objects of 1.5 MiB with 12 bytes for each value. A value takes up to 200 bytes in
memory, and as little as 3 in JSON (`[],`): 8 MiB of those would take 235 MiB."""

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"
MAX_WARNING: Final = 256
"""Kubernetes asks for warnings of at most this many characters, and drops warnings with control characters."""


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """The part of an AdmissionReview that decisions need.

    Attributes:
        uid: Names the request; the answer repeats it.
        operation: CREATE, UPDATE, DELETE or CONNECT.
        namespace: Where the object lives.
        subresource: Empty for the object itself.
        object: As it would be stored; None for DELETE.
        old_object: As it is stored; None for CREATE.
        user: `userInfo` of the author: username, uid, groups, extra.
    """

    uid: str
    operation: str
    namespace: str
    subresource: str
    object: Object | None
    old_object: Object | None
    user: Object = field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """What log lines call the object; one that is to get a generated name has none yet."""
        metadata = (self.object or self.old_object or {}).get("metadata", {})
        return f"{self.namespace}/{metadata.get('name') or ''}"

    @property
    def written(self) -> Object | None:
        """The object that this request writes; None if it writes none, or one that is being deleted."""
        if self.object is None or self.subresource or self.operation not in {"CREATE", "UPDATE"}:
            return None
        # Refusing or changing a terminating object could keep its finalizers for ever.
        return None if is_terminating(self.object) else self.object


@dataclass(frozen=True, slots=True)
class Allow:
    """The object is fine as it is."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Patch:
    """The object is fine once these RFC 6902 operations have been applied to it."""

    operations: list[Object]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deny:
    """The object is not fine; each problem is a sentence that begins with a field's path."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    reason: Literal["Invalid", "Forbidden", "Conflict"] = "Invalid"


Decision: TypeAlias = Allow | Patch | Deny


def count_values(body: bytes) -> int:
    """Tell how many values JSON holds at most: each follows a comma, or is the first one in its array or object.

    Commas and brackets inside texts count too, because telling them apart would take a parser. A short body is not
    searched, because that takes a microsecond for each kilobyte: no value is shorter than a byte.

    Raises:
        MalformedReview: There may be more than any review has.
    """
    if len(body) <= MAX_VALUES:
        return len(body)
    values = 1 + body.count(b",") + body.count(b"[") + body.count(b"{")
    if values > MAX_VALUES:
        raise MalformedReview(f"must not hold more than {MAX_VALUES} values")
    return values


def parse(body: bytes) -> AdmissionRequest:
    """Read the request out of an AdmissionReview whose values somebody has counted.

    Raises:
        MalformedReview: The body is no AdmissionReview v1 that can be answered.
    """
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedReview(f"not JSON: {error.msg}") from error
    if not isinstance(review, dict) or (review.get("apiVersion"), review.get("kind")) != (API_VERSION, KIND):
        raise MalformedReview(f"must be an {KIND} of {API_VERSION}")
    request = review.get("request")
    if not isinstance(request, dict):
        raise MalformedReview("request must be an object")
    uid = _text(request, "uid")
    if not uid:
        raise MalformedReview("request.uid must not be empty")
    return AdmissionRequest(
        uid=uid,
        operation=_text(request, "operation"),
        namespace=_text(request, "namespace"),
        subresource=_text(request, "subResource"),
        object=_object(request, "object"),
        old_object=_object(request, "oldObject"),
        user=_user(request),
    )


def render(uid: str, decision: Decision) -> bytes:
    """Write the AdmissionReview that answers a request."""
    response: dict[str, Any] = {"uid": uid, "allowed": not isinstance(decision, Deny)}
    match decision:
        case Patch(operations):
            response["patchType"] = "JSONPatch"
            response["patch"] = binascii.b2a_base64(orjson.dumps(operations), newline=False).decode()
        case Deny(problems, reason=reason):
            response["status"] = {"code": _CODES[reason], "reason": reason, "message": _message(problems)}
    if decision.warnings:
        response["warnings"] = [_one_line(warning) for warning in decision.warnings]
    return orjson.dumps({"apiVersion": API_VERSION, "kind": KIND, "response": response})


def _message(problems: tuple[str, ...]) -> str:
    return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"


def _one_line(warning: str) -> str:
    line = "".join(character if character.isprintable() else " " for character in warning)
    return line if len(line) <= MAX_WARNING else line[: MAX_WARNING - 3] + "..."


def _text(request: dict[str, Any], key: str) -> str:
    value = request.get(key) or ""
    if not isinstance(value, str):
        raise MalformedReview(f"request.{key} must be a string")
    return value


def _user(request: dict[str, Any]) -> Object:
    """Read the user; an access review sends it back to the API server, in the shape that the API server gave it."""
    user = request.get("userInfo") or {}
    if not isinstance(user, dict):
        raise MalformedReview("request.userInfo must be an object")
    groups, extra = user.get("groups") or [], user.get("extra") or {}
    is_named = isinstance(user.get("username"), _TEXT_OR_NONE) and isinstance(user.get("uid"), _TEXT_OR_NONE)
    if not (is_named and _is_texts(groups) and isinstance(extra, dict)):
        raise MalformedReview("request.userInfo must have a username, a uid, groups and extra")
    if extra and not all(_is_texts(values) for values in extra.values()):
        raise MalformedReview("request.userInfo.extra must hold arrays of strings")
    return user


def _is_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _object(request: dict[str, Any], key: str) -> Object | None:
    value = request.get(key)
    if value is None:
        return None
    if not (isinstance(value, dict) and isinstance(metadata := value.get("metadata"), dict)):
        raise MalformedReview(f"request.{key} must be an object with metadata")
    for key_field in ("name", "namespace"):
        if not isinstance(metadata.get(key_field), _TEXT_OR_NONE):
            raise MalformedReview(f"request.{key}.metadata.{key_field} must be a string")
    return value
