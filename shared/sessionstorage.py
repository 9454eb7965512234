"""The SessionStorage resource: its models, from which CRD, validation and documentation come. Pure.

Every rule that needs no look-up stands here once: as a type or bound where a schema can say it, else as a CEL
rule, so that the API server refuses a bad object even while the webhook is down.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from shared.errors import InvalidSpec
from shared.names import MAX_STORAGE_NAME
from shared.sizes import DEFAULT_SIZE, PRESETS, Preset, Size

if TYPE_CHECKING:
    from shared.resources import Object

URL_PATTERN = r"^(rediss?|valkeys?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[0-9]{1,5})?$"
URL_HINT = (
    "must be redis://host[:port][/db] (or rediss://, valkey://, valkeys://) without user or password:"
    " put the password into the Secret that spec.external.secretRef names"
)
SECRET_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
NAMESPACE_PATTERN = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?|\*)$"
"""An RFC 1123 label, or `*` for every namespace."""
ALL_NAMESPACES = "*"
MAX_NAMESPACES = 100
STORAGE_NAME_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""RFC 1035 label: the storage's Service is named after it, and a Service's name must start with a letter."""


def cel(rule: str, message: str) -> dict[str, JsonValue]:
    """Write one entry of `x-kubernetes-validations`."""
    return {"rule": rule, "message": message}


def secretive_cel(rule: str, message: str) -> dict[str, JsonValue]:
    """Write a rule about a value that may hold a password: of all errors, only `Forbidden` never repeats the value."""
    return {**cel(rule, message), "reason": "FieldValueForbidden"}


def _checked_url(url: str) -> str:
    if not re.fullmatch(URL_PATTERN, url):
        raise ValueError(URL_HINT)
    return url


class Phase(StrEnum):
    """One word for a person; programs read the conditions."""

    PENDING = "Pending"
    PROVISIONING = "Provisioning"
    READY = "Ready"
    DEGRADED = "Degraded"
    ROTATING = "Rotating"
    FAILED = "Failed"
    TERMINATING = "Terminating"


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class External(_Model):
    """An existing Redis or Valkey, used instead of a managed one."""

    url: Annotated[
        str,
        Field(
            description="Address as redis://host:port, or rediss:// for TLS; valkey:// and valkeys:// mean the same."
            " A password does not belong here: put it into the Secret that secretRef names.",
            max_length=512,
            # CEL instead of a pattern: a schema's error repeats the value, and with it a password inside.
            json_schema_extra={
                "x-kubernetes-validations": [secretive_cel(f"self.matches(r'{URL_PATTERN}')", URL_HINT)]
            },
        ),
        AfterValidator(_checked_url),
    ]
    secret_ref: Annotated[
        str | None,
        Field(
            description="Secret in the same namespace: key `password`, optionally `username` and `ca.crt`.",
            pattern=SECRET_NAME_PATTERN,
            max_length=253,
        ),
    ] = None


class SessionStorageSpec(_Model):
    """What the user asks for: a size, or a store that exists already."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "has(self.external) == has(oldSelf.external)",
                    "a storage cannot change between managed and external in place: create a new SessionStorage",
                ),
            ]
        }
    )

    size: Annotated[
        Size | None,
        Field(
            description="small for development, medium for one durable node, large for three nodes. Default: medium."
            " Ignored when external is set.",
        ),
    ] = None
    external: External | None = None
    allowed_namespaces: Annotated[
        tuple[Annotated[str, Field(pattern=NAMESPACE_PATTERN, max_length=63)], ...],
        Field(
            description="Namespaces whose MCPServers, MCPRemoteProxies and VirtualMCPServers may use this storage; '*'"
            " means all. Elsewhere only users who have the right to `use` this SessionStorage may refer to it.",
            max_length=MAX_NAMESPACES,
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()

    @property
    def preset(self) -> Preset:
        """What the size binds; of no meaning for an external storage."""
        return PRESETS[self.size or DEFAULT_SIZE]


class Condition(_Model):
    """One condition, as Kubernetes' API conventions define it."""

    type: Annotated[str, Field(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(max_length=1024)]
    message: Annotated[str, Field(max_length=32768)] = ""
    observed_generation: int | None = None
    last_transition_time: datetime


class SessionStorageStatus(_Model):
    """What the reconciler has seen."""

    phase: Annotated[Phase | None, Field(description="Summary for people; see conditions.")] = None
    message: Annotated[str | None, Field(description="The phase in a sentence.")] = None
    connection_secret: Annotated[
        str | None, Field(description="Secret in this namespace that holds the connection for consumers.")
    ] = None
    primary: Annotated[str | None, Field(description="The Valkey node that takes writes.")] = None
    observed_generation: Annotated[int | None, Field(description="Newest generation acted upon.")] = None
    conditions: Annotated[
        list[Condition],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = []


class SessionStorage(_Model):
    """Managed session storage for ToolHive's proxies."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    f"self.metadata.name.size() <= {MAX_STORAGE_NAME}"
                    f" && self.metadata.name.matches('{STORAGE_NAME_PATTERN}')",
                    f"metadata.name must be at most {MAX_STORAGE_NAME} lower-case letters, digits or '-', start with a"
                    " letter and end with a letter or digit: Services and StatefulSets are named after it",
                ),
            ]
        }
    )

    spec: SessionStorageSpec
    status: SessionStorageStatus | None = None


def parse_spec(storage: Object) -> SessionStorageSpec:
    """Read the spec of a SessionStorage as the API stores it.

    Raises:
        InvalidSpec: The object does not fit the schema; one problem for each field. Values are not repeated.
    """
    try:
        return SessionStorageSpec.model_validate(storage.get("spec"))
    except ValidationError as error:
        raise InvalidSpec([_problem(detail) for detail in error.errors(include_input=False)]) from None


def _problem(detail: Any) -> str:
    path = ".".join(["spec", *(str(part) for part in detail["loc"])])
    return f"{path}: Invalid value: {detail['msg']}"
