"""What the observer saw of a user's own store. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from reconciler.credentials.login import Credentials
from shared import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.objects.resources import Object
    from shared.session_storage.models import External

DEFAULT_USER: Final = "default"
"""Hosted stores hand it out as if it were a user name of its own."""


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
            because it is the same credential, because the user's works, or because it fails for another reason.
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
    return _credentials(values.get(names.KEY_USERNAME, ""), values[names.KEY_PASSWORD], values)


def login_from_connection(connection: Object) -> Credentials:
    """Read how consumers log in from the connection Secret."""
    values = identities.decoded(connection.get("data"))
    return _credentials(values.get(names.KEY_REDIS_USERNAME, ""), values.get(names.KEY_REDIS_PASSWORD, ""), values)


def _credentials(username: str, password: str, values: Mapping[str, str]) -> Credentials:
    """Leave out the user name `default`, which a password alone means: ToolHive's proxies can send no user name."""
    return Credentials("" if username == DEFAULT_USER else username, password, values.get(names.KEY_CA, ""))


class Outcome(StrEnum):
    """The outcome of dialling a store; the values are reasons of the condition `Ready`."""

    OK = "StorageReady"
    NOT_ALLOWED = "HostNotAllowed"
    DNS = "DnsFailed"
    REFUSED = "ConnectionRefused"
    TIMEOUT = "TimedOut"
    TLS = "TlsFailed"
    NOT_REDIS = "NotRedis"
    PROTECTED = "ProtectedMode"
    FULL = "TooManyClients"
    AUTH = "AuthenticationFailed"
    SENTINEL = "SentinelMode"
    CLUSTER = "ClusterMode"
    READ_ONLY = "ReadOnly"
    LOADING = "LoadingData"
    BUSY = "ScriptRunning"
    CANNOT_SAVE = "CannotSave"
    OUT_OF_MEMORY = "OutOfMemory"
    NO_REPLICAS = "TooFewReplicas"
    UNUSABLE = "StoreUnusable"


_OF_THE_LOGIN: Final = frozenset({Outcome.TLS, Outcome.AUTH})


@dataclass(frozen=True, slots=True)
class DialResult:
    """The result of dialling a store; the detail says what the reconciler saw, in words that hold no credential."""

    outcome: Outcome
    detail: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the store takes writes with the credential."""
        return self.outcome is Outcome.OK

    @property
    def may_differ_by_login(self) -> bool:
        """Whether another user name, password or authority could have another result."""
        return self.outcome in _OF_THE_LOGIN
