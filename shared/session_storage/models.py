"""The SessionStorage resource: CRD, validation and `kubectl explain` come from these models. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from shared.errors import InvalidSpec
from shared.names import MAX_STORAGE_NAME
from shared.session_storage.secret_reference import UNKNOWN_FIELD, SecretReference
from shared.session_storage.sizes import Size
from shared.session_storage.status import SessionStorageStatus
from shared.session_storage.validation import (
    ADDRESS_HINT,
    CLASS_CHANGE_HINT,
    INTERVAL_HINT,
    INTERVAL_PATTERN,
    KIND_CHANGE_HINT,
    MAX_ANNOTATION,
    MAX_INHERITED,
    MAX_NAMESPACES,
    METADATA_KEY_RULES,
    SHORTEST_INTERVAL_HOURS,
    STORAGE_NAME_PATTERN,
    URL_HINT,
    URL_PATTERN,
    LabelValue,
    MetadataKey,
    Model,
    Namespace,
    ObjectName,
    cel,
    checked_interval,
    forbidding_cel,
    interval,
    matching,
    rules,
)

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Self

    from shared.objects.resources import Object


class External(Model):
    """An existing Redis or Valkey that consumers use instead of a managed one."""

    # What the schema does not know, the API server drops before it counts: there is a URL or a Secret.
    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    url: Annotated[
        Annotated[
            str,
            Field(
                max_length=512,
                # CEL instead of a pattern: a schema's error repeats the value, and with it a password inside.
                json_schema_extra=rules(forbidding_cel(f"self.matches(r'{URL_PATTERN}')", URL_HINT)),
            ),
            matching(URL_PATTERN, URL_HINT),
        ]
        | None,
        Field(
            description="Address as redis://host:port, or rediss:// for TLS; valkey:// and valkeys:// mean the same. A"
            " host without a dot is a Service in the storage's namespace. Put a password into the Secret that secretRef"
            " names, never here. Without url, the Secret says where the store is.",
        ),
    ] = None
    secret_ref: Annotated[
        SecretReference | None,
        Field(
            description="Secret in the same namespace: its name, or an object with its name and the keys to read."
            " Usual keys are password, and optionally username and ca.crt; without url also url, or host, port and tls."
        ),
    ] = None

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if self.url is None and self.secret_ref is None:
            raise PydanticCustomError("no_address", ADDRESS_HINT)
        return self


class RotationSchedule(Model):
    """How often the reconciler changes the passwords on its own."""

    every: Annotated[
        str,
        Field(
            description="Longest age of a password, such as 720h; at least 1h. Each storage rotates at its own"
            " moment within the last tenth of this time.",
            max_length=16,
            json_schema_extra=rules(
                cel(
                    f"self.matches(r'{INTERVAL_PATTERN}') && self.size() > 0"
                    f" && duration(self) >= duration('{SHORTEST_INTERVAL_HOURS}h')",
                    INTERVAL_HINT,
                )
            ),
        ),
        AfterValidator(checked_interval),
    ]

    @property
    def interval(self) -> timedelta:
        """The longest age of a password."""
        return interval(self.every)


class InheritedMetadata(Model):
    """Labels and annotations that all objects of the storage inherit; those that the product sets win."""

    labels: Annotated[
        dict[MetadataKey, LabelValue],
        Field(
            description="Labels of all objects of the storage, its volumes included. Pods and Secrets have those whose"
            " names are without a domain, and the free ones of app.kubernetes.io.",
            max_length=MAX_INHERITED,
            json_schema_extra=METADATA_KEY_RULES,
        ),
    ] = Field(default_factory=dict)
    annotations: Annotated[
        dict[MetadataKey, Annotated[str, Field(max_length=MAX_ANNOTATION)]],
        Field(
            description="Annotations of all objects of the storage, its volumes included, but for pods and Secrets.",
            max_length=MAX_INHERITED,
            json_schema_extra=METADATA_KEY_RULES,
        ),
    ] = Field(default_factory=dict)


class SessionStorageSpec(Model):
    """The desired storage: a size, or an existing store."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            forbidding_cel("has(self.external) == has(oldSelf.external)", KIND_CHANGE_HINT, ".external"),
            forbidding_cel(
                "has(self.storageClassName) == has(oldSelf.storageClassName)"
                " && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
                CLASS_CHANGE_HINT,
                ".storageClassName",
            ),
        )
    )

    size: Annotated[
        Size | None,
        Field(
            description="small: one instance without a disk, for development. medium: one durable instance. large:"
            " three durable instances with failover. Default: medium. You can change it at any time, in both"
            " directions; an existing disk never shrinks. Ignored when external is set.",
        ),
    ] = None
    external: External | None = None
    rotation: Annotated[
        RotationSchedule | None,
        Field(
            description="Changes the passwords on a schedule. Ignored when external is set: only its owner can change"
            " that password."
        ),
    ] = None
    allowed_namespaces: Annotated[
        tuple[Namespace, ...],
        Field(
            description="Namespaces whose MCPServers, MCPRemoteProxies and VirtualMCPServers may use this storage; '*'"
            " means all. In other namespaces, only users with the verb `use` on this SessionStorage may refer to it.",
            max_length=MAX_NAMESPACES,
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()

    storage_class_name: Annotated[
        ObjectName | None,
        Field(
            description="StorageClass of the storage's disks, which nobody can change later. Default: what whoever"
            " installed the product chose, else the cluster's default. Ignored when external is set."
        ),
    ] = None
    inherited_metadata: Annotated[
        InheritedMetadata | None,
        Field(
            description="Labels and annotations that all objects of the storage inherit, its volumes included; pods and"
            " Secrets have labels without a domain alone. A change of these replaces the pods one by one, like a change"
            " of the size."
        ),
    ] = None


class SessionStorage(Model):
    """A store for the sessions of ToolHive's proxies and MCP servers."""

    model_config = ConfigDict(
        json_schema_extra=rules(
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
        details = error.errors(include_input=False, include_url=False)
        raise InvalidSpec(list(dict.fromkeys(map(_problem, details)))) from None


def _problem(detail: Any) -> str:
    steps, message = detail["loc"], detail["msg"]
    if detail["type"] == UNKNOWN_FIELD:
        # Their names are a user's text, as many and as long as an object may be.
        steps, message = steps[:-1], "unknown fields"
    return f"{'.'.join(('spec', *map(str, steps)))}: Invalid value: {message}"
