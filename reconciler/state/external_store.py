"""What was seen of a user's own store. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    """What was seen of an external store.

    Attributes:
        secret: The user's Secret, if it exists.
        report: What came of dialling; None if there was nothing to log in with.
        serves_tls: Whether ToolHive's CRDs in this cluster have `sessionStorage.tls`.
        handed_out: What came of dialling with what consumers were handed; None if it is the same credential, or that
            one works.
    """

    secret: Object | None = field(default=None, repr=False)
    report: DialResult | None = None
    serves_tls: bool = False
    handed_out: DialResult | None = None


def login_of(external: External, secret: Object | None) -> Credentials | None:
    """Read how to log in; None if a Secret is named and has no readable password."""
    if external.secret_ref is None:
        return Credentials()
    values = identities.decoded((secret or {}).get("data"))
    if not values.get(names.KEY_PASSWORD):
        return None
    return Credentials(values.get(names.KEY_USERNAME, ""), values[names.KEY_PASSWORD], values.get(names.KEY_CA, ""))


def login_in(connection: Object) -> Credentials:
    """Read how consumers log in, from what they were handed."""
    values = identities.decoded(connection.get("data"))
    return Credentials(
        values.get(names.KEY_REDIS_USERNAME, ""), values.get(names.KEY_REDIS_PASSWORD, ""), values.get(names.KEY_CA, "")
    )


def is_other(login: Credentials, connection: Object) -> bool:
    """Tell whether a credential is another than consumers were handed."""
    return login != login_in(connection)


class Outcome(StrEnum):
    """What came of dialling a store; the values are reasons of the condition `Ready`."""

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
    """What came of dialling a store.

    Attributes:
        outcome: In one word.
        detail: What was seen, in words that hold no credential.
    """

    outcome: Outcome
    detail: str = ""
