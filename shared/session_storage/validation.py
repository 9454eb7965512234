"""What the API server and the webhook check in a SessionStorage: patterns, limits and messages. Pure.

Each rule that needs no look-up is written here once: the models turn it into a CEL rule, so that the API server
enforces it even while the webhook is down, and into a check of their own.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from shared.objects.resources import Object

URL_PATTERN = r"^(?i:rediss?|valkeys?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[0-9]{0,5})?$"
URL_HINT = (
    "must be redis://host[:port][/db] (or rediss://, valkey://, valkeys://) without user or password:"
    " put the password into the Secret that spec.external.secretRef names"
)
ADDRESS_HINT = "url, or in place of it a secretRef whose Secret says where the store is"
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
"""Kubernetes' `IsDNS1123Subdomain`, but for its length."""
MAX_SUBDOMAIN = 253
"""In characters."""
SECRET_NAME_PATTERN = f"^{_SUBDOMAIN}$"
MAX_SECRET_NAME = MAX_SUBDOMAIN
"""Of the name of a Secret and of its keys, in characters."""
SECRET_NAME_HINT = "must consist of lower-case letters, digits, '-' or '.', and start and end with a letter or digit"
SECRET_KEY_PATTERN = r"^[-._a-zA-Z0-9]+$"
"""Kubernetes' `IsConfigMapKey`, which is the rule for Secrets too."""
SECRET_KEY_HINT = "must consist of letters, digits, '-', '_' or '.'"
NAMESPACE_PATTERN = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?|\*)$"
"""An RFC 1123 label, or `*` for every namespace."""
NAMESPACE_HINT = "must be the name of a namespace, or '*' for all of them"
ALL_NAMESPACES = "*"
MAX_NAMESPACES = 100
INTERVAL_PATTERN = "^([0-9]{1,5}h)?([0-9]{1,7}m)?$"
SHORTEST_INTERVAL_HOURS = 1
INTERVAL_HINT = "must be a time of hours and minutes, such as 720h or 90m, and at least 1h"
STORAGE_NAME_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""RFC 1035 label: the storage's Service is named after it, and a Service's name must start with a letter."""
CLASS_CHANGE_HINT = "a disk cannot change its StorageClass in place: create a new SessionStorage"
MAX_INHERITED = 32
MAX_ANNOTATION = 1024
"""Of a value, in characters of up to four bytes. All annotations of an object together may have 256 KiB (Kubernetes'
`TotalAnnotationSizeLimitB`), or API servers refuse it."""
METADATA_KEY_PATTERN = f"^({_SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$"
"""Kubernetes' `IsQualifiedName`, but for the length of the domain: an optional DNS subdomain, and a name of up to 63
characters. API servers refuse every object that has another label or annotation, the EndpointSlice of the primary too.
"""
METADATA_KEY_HINT = (
    "must be the name of a label or annotation, such as team or example.com/team: up to 63 letters, digits, '-', '_' or"
    " '.', and a domain before them or none"
)
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
LABEL_VALUE_HINT = "must be the value of a label: up to 63 letters, digits, '-', '_' or '.'"
RESERVED_KEY_PATTERN = r"^([-a-z0-9.]+\.)?(toolhive\.stacklok\.dev|kubernetes\.io|k8s\.io)/"
FREE_KEY_PATTERN = r"^app\.kubernetes\.io/(component|created-by|part-of|version)$"
"""Kubernetes' recommended labels, but for those that the product sets itself."""
RESERVED_KEY_HINT = (
    "is reserved: this product and Kubernetes give names under toolhive.stacklok.dev, kubernetes.io and k8s.io their"
    " meaning; free are app.kubernetes.io/component, created-by, part-of and version"
)
KIND_CHANGE_HINT = "a storage cannot change between managed and external in place: create a new SessionStorage"


def cel(rule: str, message: str) -> dict[str, JsonValue]:
    """Write one entry of `x-kubernetes-validations`."""
    return {"rule": rule, "message": message}


def forbidding_cel(rule: str, message: str, field: str = "") -> dict[str, JsonValue]:
    """Write a rule whose error never repeats the value, which may hold a password: only `Forbidden` errors omit it.

    Args:
        rule: What must hold.
        message: What the API server says if it does not.
        field: Path of the field that the error names, relative to the rule's own field.
    """
    return {**cel(rule, message), "reason": "FieldValueForbidden", **({"fieldPath": field} if field else {})}


def matching(pattern: str, hint: str) -> AfterValidator:
    """Check a text, and word the error: with a schema's `pattern`, the API server would show the expression."""

    def checked(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(hint)
        return text

    return AfterValidator(checked)


def rules(*entries: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Attach CEL rules to a schema."""
    return {"x-kubernetes-validations": [*entries]}


SecretName: TypeAlias = Annotated[
    str,
    Field(max_length=MAX_SECRET_NAME, json_schema_extra={"pattern": SECRET_NAME_PATTERN}),
    matching(SECRET_NAME_PATTERN, SECRET_NAME_HINT),
]
ObjectName: TypeAlias = SecretName
"""Names of other objects follow the same rule."""
SecretKey: TypeAlias = Annotated[
    str,
    Field(max_length=MAX_SECRET_NAME, json_schema_extra={"pattern": SECRET_KEY_PATTERN}),
    matching(SECRET_KEY_PATTERN, SECRET_KEY_HINT),
]
Namespace: TypeAlias = Annotated[
    str,
    Field(max_length=63, json_schema_extra=rules(cel(f"self.matches(r'{NAMESPACE_PATTERN}')", NAMESPACE_HINT))),
    matching(NAMESPACE_PATTERN, NAMESPACE_HINT),
]


def _with_short_domain(key: str) -> str:
    if key.find("/") > MAX_SUBDOMAIN:
        raise ValueError(METADATA_KEY_HINT)
    return key


def _unreserved(key: str) -> str:
    if re.match(RESERVED_KEY_PATTERN, key) and not re.fullmatch(FREE_KEY_PATTERN, key):
        raise ValueError(RESERVED_KEY_HINT)
    return key


MetadataKey: TypeAlias = Annotated[
    str,
    matching(METADATA_KEY_PATTERN, METADATA_KEY_HINT),
    AfterValidator(_with_short_domain),
    AfterValidator(_unreserved),
]
METADATA_KEY_RULES = rules(
    forbidding_cel(
        f"self.all(key, key.matches(r'{METADATA_KEY_PATTERN}') && key.indexOf('/') <= {MAX_SUBDOMAIN})",
        f"each name {METADATA_KEY_HINT}",
    ),
    forbidding_cel(
        f"self.all(key, !key.matches(r'{RESERVED_KEY_PATTERN}') || key.matches(r'{FREE_KEY_PATTERN}'))",
        f"a name {RESERVED_KEY_HINT}",
    ),
)
LabelValue: TypeAlias = Annotated[
    str,
    Field(max_length=63, json_schema_extra=rules(cel(f"self.matches(r'{LABEL_VALUE_PATTERN}')", LABEL_VALUE_HINT))),
    matching(LABEL_VALUE_PATTERN, LABEL_VALUE_HINT),
]


def checked_interval(text: str) -> str:
    """Check a `RotationSchedule.every`."""
    if not re.fullmatch(INTERVAL_PATTERN, text) or interval(text) < timedelta(hours=SHORTEST_INTERVAL_HOURS):
        raise ValueError(INTERVAL_HINT)
    return text


def interval(text: str) -> timedelta:
    """Read hours and minutes, such as `1h30m`."""
    parts = {unit: int(number) for number, unit in re.findall("([0-9]+)([hm])", text)}
    return timedelta(hours=parts.get("h", 0), minutes=parts.get("m", 0))


class Model(BaseModel):
    """Base of all models: camelCase in JSON, immutable, ignores unknown fields."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def to_object(self) -> Object:
        """Write the object as the API server stores it: without absent fields and empty lists."""
        content: Object = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {key: value for key, value in content.items() if value != []}
