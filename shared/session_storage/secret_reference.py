"""How an external storage names its Secret: by name alone, or with the keys to read. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import ConfigDict, Field, model_validator

from shared import names
from shared.session_storage.validation import (
    MAX_SECRET_NAME,
    SECRET_NAME_PATTERN,
    Model,
    SecretKey,
    SecretName,
)

if TYPE_CHECKING:
    from pydantic import JsonValue

URL_KEYS: Final = ("url", "uri")
HOST_KEYS: Final = ("host", "endpoint", "hostName", "primaryEndpoint", "primary_endpoint_address")
PORT_KEYS: Final = ("port",)
TLS_PORT_KEYS: Final = ("sslPort", *PORT_KEYS)
TLS_KEYS: Final = ("tls",)
PASSWORD_KEYS: Final = (
    names.KEY_PASSWORD,
    "authToken",
    "primaryKey",
    "attribute.auth_token",
    "redis-password",
    "valkey-password",
)
USERNAME_KEYS: Final = (names.KEY_USERNAME,)
CA_KEYS: Final = (names.KEY_CA, "certificates")
"""The usual keys; the first that a Secret has counts. Sources: the Service Binding specification for Kubernetes (host,
port, uri, certificates), Azure Service Operator (hostName, sslPort, primaryKey), Crossplane's provider-upjet-aws
(primary_endpoint_address, attribute.auth_token), the Bitnami charts (redis-password, valkey-password). Users of ACK,
Config Connector and External Secrets choose the keys themselves."""

UNKNOWN_FIELD: Final = "extra_forbidden"
"""Pydantic's type of an error about a field that a model does not know; only this model minds."""

_NAME: Final = "name"


def _listed(keys: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(keys[:-1]), keys[-1])))


def _or_a_name(schema: dict[str, JsonValue]) -> None:
    """Let the schema take a string, too.

    A structural schema has no type "string or object". Without a type it takes both, if it keeps unknown fields; the
    rules of its fields hold then for an object, and `pattern` and `maxLength` for a string. CEL cannot read such a
    field, so the rules inside are plain ones.
    """
    del schema["type"], schema["additionalProperties"]
    schema |= {
        "x-kubernetes-preserve-unknown-fields": True,
        "maxLength": MAX_SECRET_NAME,
        "pattern": SECRET_NAME_PATTERN,
    }


class SecretReference(Model):
    """A Secret beside the storage, and the keys of it to read; a key that is not named is found by its usual names."""

    # The API server keeps unknown fields here, so that this refuses a misspelt one.
    model_config = ConfigDict(extra="forbid", populate_by_name=False, json_schema_extra=_or_a_name)

    name: Annotated[SecretName, Field(description="Name of the Secret.")]
    password_key: Annotated[
        SecretKey | None,
        Field(description=f"Key of the password. Default: {_listed(PASSWORD_KEYS)}."),
    ] = None
    username_key: Annotated[
        SecretKey | None, Field(description=f"Key of the user name. Default: {_listed(USERNAME_KEYS)}.")
    ] = None
    ca_key: Annotated[
        SecretKey | None,
        Field(
            description=f"Key of the certificates, in PEM form, that signed the store's. Default: {_listed(CA_KEYS)}."
        ),
    ] = None
    url_key: Annotated[
        SecretKey | None,
        Field(
            description="Key of the store's URL, which may hold user name and password. It counts if spec.external.url"
            f" is not set. Default: {_listed(URL_KEYS)}."
        ),
    ] = None
    host_key: Annotated[
        SecretKey | None,
        Field(description=f"Key of the host. It counts if there is no URL. Default: {_listed(HOST_KEYS)}."),
    ] = None
    port_key: Annotated[
        SecretKey | None,
        Field(
            description="Key of the port. It counts if there is no URL."
            f" Default: {_listed(TLS_PORT_KEYS)}, and 6379 if the Secret has none."
        ),
    ] = None
    tls_key: Annotated[
        SecretKey | None,
        Field(
            description="Key that says whether the store speaks TLS, as true or false. It counts if there is no URL."
            f" Default: {_listed(TLS_KEYS)}, and true if the Secret has none."
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _of_name(cls, value: object) -> object:
        return {_NAME: value} if isinstance(value, str) else value


def secret_named(reference: object) -> str | None:
    """Name the Secret that a `secretRef` means, before anybody has checked it; None if it names none."""
    name = reference.get(_NAME) if isinstance(reference, dict) else reference
    return name if isinstance(name, str) and name else None
