"""The SessionStorage resource: its models, from which CRD, validation and documentation come. Pure.

Every rule that needs no look-up stands here once: as a type or bound where a schema can say it, else as a CEL
rule, so that the API server refuses a bad object even while the webhook is down.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from shared.errors import InvalidSpec
from shared.names import MAX_STORAGE_NAME
from shared.session_storage.sizes import DEFAULT_SIZE, PRESETS, Preset, Size

if TYPE_CHECKING:
    from shared.objects.resources import Object

URL_PATTERN = r"^(rediss?|valkeys?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[0-9]{1,5})?$"
URL_HINT = (
    "must be redis://host[:port][/db] (or rediss://, valkey://, valkeys://) without user or password:"
    " put the password into the Secret that spec.external.secretRef names"
)
SECRET_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
SECRET_NAME_HINT = "must consist of lower-case letters, digits, '-' or '.', and start and end with a letter or digit"
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
KIND_CHANGE_HINT = "a storage cannot change between managed and external in place: create a new SessionStorage"


def cel(rule: str, message: str) -> dict[str, JsonValue]:
    """Write one entry of `x-kubernetes-validations`."""
    return {"rule": rule, "message": message}


def forbidding_cel(rule: str, message: str, field: str = "") -> dict[str, JsonValue]:
    """Write a rule whose error never repeats the value, which may hold a password: of all errors `Forbidden` alone.

    Args:
        rule: What must hold.
        message: What is said where it does not.
        field: Path, below where the rule stands, of the field to name.
    """
    return {**cel(rule, message), "reason": "FieldValueForbidden", **({"fieldPath": field} if field else {})}


def _matching(pattern: str, hint: str) -> AfterValidator:
    """Check a text and say in words what it must be: a schema's `pattern` would show the expression instead."""

    def checked(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(hint)
        return text

    return AfterValidator(checked)


def _rules(*rules: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {"x-kubernetes-validations": [*rules]}


_SecretName: TypeAlias = Annotated[
    str,
    Field(max_length=253, json_schema_extra=_rules(cel(f"self.matches(r'{SECRET_NAME_PATTERN}')", SECRET_NAME_HINT))),
    _matching(SECRET_NAME_PATTERN, SECRET_NAME_HINT),
]
_Namespace: TypeAlias = Annotated[
    str,
    Field(max_length=63, json_schema_extra=_rules(cel(f"self.matches(r'{NAMESPACE_PATTERN}')", NAMESPACE_HINT))),
    _matching(NAMESPACE_PATTERN, NAMESPACE_HINT),
]


def _checked_interval(text: str) -> str:
    if not re.fullmatch(INTERVAL_PATTERN, text) or _interval(text) < timedelta(hours=SHORTEST_INTERVAL_HOURS):
        raise ValueError(INTERVAL_HINT)
    return text


def _interval(text: str) -> timedelta:
    parts = {unit: int(number) for number, unit in re.findall("([0-9]+)([hm])", text)}
    return timedelta(hours=parts.get("h", 0), minutes=parts.get("m", 0))


class Phase(StrEnum):
    """One word for a person; programs read the conditions."""

    PENDING = "Pending"
    PROVISIONING = "Provisioning"
    READY = "Ready"
    DEGRADED = "Degraded"
    ROTATING = "Rotating"
    FAILED = "Failed"
    TERMINATING = "Terminating"


class RotationPhase(StrEnum):
    """How far a rotation of passwords is."""

    PENDING = "Pending"
    ADDED = "Added"
    PUBLISHED = "Published"
    AWAIT_CONSUMERS = "AwaitConsumers"
    DISCARDING = "Discarding"
    DISCARDED = "Discarded"


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def to_object(self) -> Object:
        """Write it as the API server keeps it: without fields that hold nothing."""
        content: Object = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {key: value for key, value in content.items() if value != []}


class External(_Model):
    """An existing Redis or Valkey, used instead of a managed one."""

    url: Annotated[
        str,
        Field(
            description="Address as redis://host:port, or rediss:// for TLS; valkey:// and valkeys:// mean the same."
            " A password does not belong here: put it into the Secret that secretRef names.",
            max_length=512,
            # CEL instead of a pattern: a schema's error repeats the value, and with it a password inside.
            json_schema_extra=_rules(forbidding_cel(f"self.matches(r'{URL_PATTERN}')", URL_HINT)),
        ),
        _matching(URL_PATTERN, URL_HINT),
    ]
    secret_ref: Annotated[
        _SecretName | None,
        Field(description="Secret in the same namespace: key `password`, optionally `username` and `ca.crt`."),
    ] = None


class RotationSchedule(_Model):
    """When passwords are changed without anybody asking."""

    every: Annotated[
        str,
        Field(
            description="Longest age of a password, such as 720h; at least 1h. Each storage is rotated at a time of its"
            " own in the last tenth of it.",
            max_length=16,
            json_schema_extra=_rules(
                cel(
                    f"self.matches(r'{INTERVAL_PATTERN}') && self.size() > 0"
                    f" && duration(self) >= duration('{SHORTEST_INTERVAL_HOURS}h')",
                    INTERVAL_HINT,
                )
            ),
        ),
        AfterValidator(_checked_interval),
    ]

    @property
    def interval(self) -> timedelta:
        """The longest age of a password."""
        return _interval(self.every)


class SessionStorageSpec(_Model):
    """What the user asks for: a size, or a store that exists already."""

    model_config = ConfigDict(
        json_schema_extra=_rules(
            forbidding_cel("has(self.external) == has(oldSelf.external)", KIND_CHANGE_HINT, ".external")
        )
    )

    size: Annotated[
        Size | None,
        Field(
            description="small for development, medium for one durable node, large for three nodes. Default: medium."
            " It can change at any time, in both directions; a disk that is there never becomes smaller. Ignored when"
            " external is set.",
        ),
    ] = None
    external: External | None = None
    rotation: Annotated[
        RotationSchedule | None,
        Field(
            description="Rotates passwords on a schedule. Ignored when external is set: that password is its owner's."
        ),
    ] = None
    allowed_namespaces: Annotated[
        tuple[_Namespace, ...],
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
    last_transition_time: AwareDatetime


class RotationStatus(_Model):
    """The newest rotation of the storage's passwords."""

    phase: Annotated[RotationPhase, Field(description="How far it is; Discarded when it is over.")]
    since: Annotated[AwareDatetime, Field(description="When it got that far.")]
    revision: Annotated[str, Field(description="Names the credential that consumers get; says nothing about it.")]
    consumers_done: Annotated[int | None, Field(description="Consumers that all run with it.")] = None
    consumers_total: Annotated[int | None, Field(description="Consumers that have to.")] = None


class NodeStatus(_Model):
    """One Valkey node."""

    name: Annotated[str, Field(description="Its StatefulSet.")]
    role: Literal["primary", "replica"]
    synced: Annotated[bool, Field(description="A primary takes writes; a replica could take over.")]
    lag_mib: Annotated[
        int | None, Field(alias="lagMiB", description="How far a replica is behind; absent if that cannot be told.")
    ] = None


class LastFailover(_Model):
    """The last time that the primary changed."""

    at: AwareDatetime
    reason: Annotated[
        str,
        Field(description="Why, as one word; Asked, InstanceIsOutdated, NodeIsDrained and PodIsDeleted were planned."),
    ]
    seconds: Annotated[float, Field(description="From the decision until clients were sent to the new primary.")]


class SessionStorageStatus(_Model):
    """What the reconciler has seen."""

    phase: Annotated[Phase | None, Field(description="Summary for people; see conditions.")] = None
    message: Annotated[str | None, Field(description="The phase in a sentence.")] = None
    connection_secret: Annotated[
        str | None, Field(description="Secret in this namespace that holds the connection for consumers.")
    ] = None
    primary: Annotated[str | None, Field(description="The Valkey node that takes writes.")] = None
    size: Annotated[
        Size | None, Field(description="The size that runs; another one in spec.size waits to be applied.")
    ] = None
    nodes: Annotated[
        list[NodeStatus],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
    ] = []
    last_failover: LastFailover | None = None
    rotation: RotationStatus | None = None
    observed_generation: Annotated[int | None, Field(description="Newest generation acted upon.")] = None
    conditions: Annotated[
        list[Condition],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = []


class SessionStorage(_Model):
    """Managed session storage for ToolHive's proxies."""

    model_config = ConfigDict(
        json_schema_extra=_rules(
            cel(
                f"self.metadata.name.size() <= {MAX_STORAGE_NAME}"
                f" && self.metadata.name.matches('{STORAGE_NAME_PATTERN}')",
                f"metadata.name must be at most {MAX_STORAGE_NAME} lower-case letters, digits or '-', start with a"
                " letter and end with a letter or digit: Services and StatefulSets are named after it",
            ),
        )
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
