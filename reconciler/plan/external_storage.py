"""What the status says of a user's own store, and which connection its consumers get. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from reconciler.manifests.secrets import external_connection_secret, kept_connection_secret
from reconciler.plan.verdict import Verdict
from reconciler.state.external_store import ExternalFacts, Outcome
from reconciler.state.rotation_record import revision_of
from shared.consumers.storage_connection import PROXIES_SUPPORTED, ProxySupport
from shared.objects.conditions import Finding
from shared.session_storage.status import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.manifests.storage import Storage
    from reconciler.state.external_secret import ExternalConnection
    from reconciler.state.external_store import DialResult
    from reconciler.state.rotation_record import RotationRecord
    from reconciler.state.session_storage import DeclaredStorage
    from shared.objects.resources import Object
    from shared.session_storage.models import External

RECHECK_SECONDS: Final = 30.0
"""How often the reconciler dials a store that works: each time a new connection, which its owner sees in the logs."""
RETRY_SECONDS: Final = 5.0
"""How soon the reconciler dials a store again that it could not use."""

HANDED_ON: Final = "CredentialHandedOn"
"""Type of the condition that says why consumers do not get what is in the user's Secret now."""
_USABLE: Final = Verdict(Phase.READY, Outcome.OK, "the external store takes writes with this credential", is_ready=True)

_NEXT_STEPS: Final = {
    Outcome.DNS: "check the host in {where}",
    Outcome.NOT_ALLOWED: (
        "name another host, or ask whoever installed this product to add it to the chart value external.allowedHosts"
    ),
    Outcome.REFUSED: "check host and port in {where}, and that the store runs",
    Outcome.TIMEOUT: "check the address, and NetworkPolicies or firewalls in between",
    Outcome.TLS: "check that the certificate names the host, and that the Secret's ca.crt signed it",
    Outcome.AUTH: "check user name and password in the Secret that spec.external.secretRef names",
    Outcome.NOT_REDIS: "check host and port in {where}; a port that speaks TLS needs rediss:// or valkeys://",
    Outcome.PROTECTED: "give the store a password, or set its protected-mode to no",
    Outcome.FULL: "raise its maxclients, or close connections that nobody uses",
    Outcome.SENTINEL: "name the Service or the address of the primary in {where}",
    Outcome.CLUSTER: "use a store with cluster mode disabled: ToolHive's proxies are no cluster clients",
    Outcome.READ_ONLY: "name the primary in {where}",
    Outcome.LOADING: "wait until it has loaded its data",
    Outcome.BUSY: "end the script with SCRIPT KILL",
    Outcome.CANNOT_SAVE: "see the store's own log, and free space on its disk",
    Outcome.OUT_OF_MEMORY: "raise its maxmemory, or set a maxmemory-policy that evicts keys",
    Outcome.NO_REPLICAS: "see to its replicas, or lower its min-replicas-to-write",
    Outcome.UNUSABLE: "see the store's own log",
}
_FOR_A_PERSON: Final = frozenset(
    {
        *(Outcome.NOT_ALLOWED, Outcome.TLS, Outcome.AUTH, Outcome.NOT_REDIS, Outcome.PROTECTED),
        *(Outcome.SENTINEL, Outcome.CLUSTER),
    }
)
"""Outcomes that stay as they are until somebody changes the spec, the Secret or how the store is set up. All others
pass as a store starts, recovers or fails over; and a Secret that is missing may be on its way, from the same commit."""
_SUPPORT_STATUS: Final[Mapping[ProxySupport, Literal["Unknown", "False"]]] = {
    ProxySupport.NOT_CHECKED: "Unknown",
    ProxySupport.NO_USER_NAME: "False",
    ProxySupport.NO_TLS: "False",
}
_SUPPORT_MESSAGES: Final = {
    ProxySupport.PLAIN: "ToolHive's proxies are connected",
    ProxySupport.SYSTEM_TLS: "ToolHive's proxies are connected by TLS, and trust the system's roots",
    ProxySupport.CA_TLS: "ToolHive's proxies are connected by TLS, and trust the Secret's ca.crt",
    ProxySupport.NO_USER_NAME: (
        "ToolHive's proxies cannot log in with a user name: they keep sessions by themselves, and the webhook injects"
        " only environment variables; use a password of the user `default`"
    ),
    ProxySupport.NO_TLS: (
        "this cluster's ToolHive has no spec.sessionStorage.tls (it came after 0.48): proxies keep sessions by"
        " themselves, and the webhook injects only environment variables; upgrade ToolHive, or use redis://"
    ),
    ProxySupport.NOT_CHECKED: "the Secret has no readable password yet",
}


def proxy_support(connection: ExternalConnection | None, *, serves_tls: bool) -> ProxySupport:
    """Tell whether and how ToolHive's proxies can use a store."""
    if connection is None:
        return ProxySupport.NOT_CHECKED
    if connection.login.username:
        return ProxySupport.NO_USER_NAME
    if not connection.endpoint.is_tls:
        return ProxySupport.PLAIN
    if not serves_tls:
        return ProxySupport.NO_TLS
    return ProxySupport.CA_TLS if connection.login.ca else ProxySupport.SYSTEM_TLS


def desired_connection(owner: Storage, facts: ExternalFacts, present: Object | None) -> Object | None:
    """Build the connection Secret from what works or else, from what consumers have; None if there is neither.

    Args:
        owner: The storage.
        facts: What the observer saw.
        present: The connection Secret as it is; somebody may have taken its labels away.
    """
    if facts.connection is not None and facts.is_usable:
        return external_connection_secret(owner, facts.connection.endpoint, facts.connection.login)
    return kept_connection_secret(owner, present) if present is not None else None


def record_after(facts: ExternalFacts, present: Object | None, record: RotationRecord, now: datetime) -> RotationRecord:
    """Begin a rotation if what the user says works, and is not what consumers have: their backends have to restart.

    The connection Secret names it, whatever has changed: the user's Secret may be as it was, or there may be none.
    """
    if present is None or not facts.is_usable or facts.published in {None, facts.connection}:
        return record
    return record.start(record.handled, revision_of(present), now).publish(now)


def pause_seconds(facts: ExternalFacts, failing_for: timedelta) -> float:
    """Tell when to look again without an event; a store that has failed for long is no more work than one that works.

    Args:
        facts: What the observer saw.
        failing_for: How long the storage has not been ready.
    """
    # Without anything to log in with, a watch tells when the Secret changes.
    if facts.dialled is None or facts.dialled.is_ok:
        return RECHECK_SECONDS
    return min(max(RETRY_SECONDS, failing_for.total_seconds() / 10), RECHECK_SECONDS)


def failing_for(storage: DeclaredStorage, now: datetime) -> timedelta:
    """Tell how long a storage has not been ready, by its status."""
    ready = storage.condition("Ready")
    if ready is None or ready.status == "True":
        return timedelta()
    return now - ready.last_transition_time


def judge(external: External, facts: ExternalFacts, *, was_ready: bool, connection_secret: str) -> Verdict:
    """Sum up an external storage."""
    given = facts.in_use
    support = proxy_support(given, serves_tls=facts.serves_tls)
    also = [Finding(PROXIES_SUPPORTED, _SUPPORT_STATUS.get(support, "True"), support, _SUPPORT_MESSAGES[support])]
    verdict = _verdict(external, facts, was_ready=was_ready)
    if facts.dialled_as_published is not None and facts.dialled_as_published.is_ok:
        message = f"what {_sources(external)} does not work, and consumers keep the connection before"
        also.append(Finding(HANDED_ON, "False", verdict.reason, f"{message}: {verdict.message}"))
        verdict = replace(_USABLE, needs_person=verdict.needs_person)
    # Before a store has answered, what a Secret says may be anything, and nobody connects.
    is_told = given is not None and (facts.is_usable or facts.published is not None)
    endpoint = given.endpoint.url if given is not None and is_told else ""
    return replace(verdict, connection_secret=connection_secret, endpoint=endpoint, also=tuple(also))


def _verdict(external: External, facts: ExternalFacts, *, was_ready: bool) -> Verdict:
    if facts.is_usable:
        return _USABLE
    unready = Phase.DEGRADED if was_ready else Phase.PENDING
    if facts.problem is not None:
        return Verdict(unready, facts.problem.reason, facts.problem.message)
    if facts.connection is None or facts.dialled is None:
        return Verdict(unready, "NotChecked", "the reconciler has not dialled the store yet")
    outcome = facts.dialled.outcome
    message = _failure(external, facts.connection, facts.dialled)
    return Verdict(unready, outcome, message, needs_person=outcome in _FOR_A_PERSON)


def _sources(external: External) -> str:
    """Name what says where a store is and how to log in, with its verb."""
    secret = f"Secret {external.secret_ref.name}" if external.secret_ref is not None else ""
    found = [each for each in ("spec.external.url" if external.url is not None else "", secret) if each]
    return f"{' and '.join(found)} {'say' if len(found) > 1 else 'says'}"


def _failure(external: External, connection: ExternalConnection, dialled: DialResult) -> str:
    """Say why a store cannot be used, and what to do; what a Secret says of its place may hold a password."""
    if external.url is not None or external.secret_ref is None:
        store, where = connection.endpoint.address, "spec.external.url"
    else:
        where = f"Secret {external.secret_ref.name}"
        store = f"the store that {where} names"
    return f"{store}: {dialled.detail}: {_NEXT_STEPS[dialled.outcome].format(where=where)}"
