"""What the observer saw of a user's own store. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reconciler.state.external_secret import ExternalConnection, SecretProblem


@dataclass(frozen=True, slots=True)
class ExternalFacts:
    """What the observer saw of an external store.

    Attributes:
        connection: Where the store is and how to log in, as the user says; None if the Secret does not say it.
        problem: Why the Secret does not say it.
        dialled: The result of dialling with `connection`; None if there is none.
        published: How consumers connect, by the connection Secret; None if there is no such Secret yet.
        dialled_as_published: The result of dialling with `published`; None if the reconciler did not try it, because it
            is the same connection, because the user's works, or because it fails for another reason.
        serves_tls: Whether ToolHive's CRDs in this cluster have `sessionStorage.tls`.
    """

    connection: ExternalConnection | None = None
    problem: SecretProblem | None = None
    dialled: DialResult | None = None
    published: ExternalConnection | None = None
    dialled_as_published: DialResult | None = None
    serves_tls: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether the store takes writes with the credential that the user names."""
        return self.dialled is not None and self.dialled.is_ok

    @property
    def in_use(self) -> ExternalConnection | None:
        """How consumers connect once the planned writes are made; before they can, how they are meant to."""
        return self.connection if self.is_usable else self.published or self.connection


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
