"""What the observer saw of a user's own store. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.credentials import identities
from reconciler.credentials.login import Credentials
from shared import names

if TYPE_CHECKING:
    from shared.objects.resources import Object
    from shared.session_storage.models import External


@dataclass(frozen=True, slots=True)
class ExternalFacts:
    """What the observer saw of an external store.

    Attributes:
        login: How to log in; None if the spec names a Secret without a readable password.
        has_secret: Whether the Secret that the spec names exists.
        revision: Name of the credential in that Secret.
        dialled: The result of dialling with `login`; None if there is none.
        published_login: How consumers log in, by the connection Secret; None if there is no such Secret yet.
        dialled_as_published: The result of dialling with `published_login`; None if the reconciler did not try it,
            because it is the same credential or because the user's works.
        serves_tls: Whether ToolHive's CRDs in this cluster have `sessionStorage.tls`.
    """

    login: Credentials | None = None
    has_secret: bool = False
    revision: str = ""
    dialled: DialResult | None = None
    published_login: Credentials | None = None
    dialled_as_published: DialResult | None = None
    serves_tls: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether the store takes writes with the credential that the user names."""
        return self.dialled is not None and self.dialled.is_ok


def login_from_secret(external: External, secret: Object | None) -> Credentials | None:
    """Read how to log in; None if the spec names a Secret and it has no readable password."""
    if external.secret_ref is None:
        return Credentials()
    values = identities.decoded((secret or {}).get("data"))
    if not values.get(names.KEY_PASSWORD):
        return None
    return Credentials(values.get(names.KEY_USERNAME, ""), values[names.KEY_PASSWORD], values.get(names.KEY_CA, ""))


def login_from_connection(connection: Object) -> Credentials:
    """Read how consumers log in from the connection Secret."""
    values = identities.decoded(connection.get("data"))
    return Credentials(
        values.get(names.KEY_REDIS_USERNAME, ""), values.get(names.KEY_REDIS_PASSWORD, ""), values.get(names.KEY_CA, "")
    )


class Outcome(StrEnum):
    """The outcome of dialling a store; the values are reasons of the condition `Ready`."""

    OK = "StorageReady"
    DNS = "DnsFailed"
    REFUSED = "ConnectionRefused"
    TIMEOUT = "TimedOut"
    TLS = "TlsFailed"
    AUTH = "AuthenticationFailed"
    READ_ONLY = "ReadOnly"
    UNUSABLE = "StoreUnusable"


@dataclass(frozen=True, slots=True)
class DialResult:
    """The result of dialling a store; the detail says what the reconciler saw, in words that hold no credential."""

    outcome: Outcome
    detail: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the store takes writes with the credential."""
        return self.outcome is Outcome.OK
