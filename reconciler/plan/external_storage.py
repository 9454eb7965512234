"""What to do about a storage that is the user's own. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.plan.health import Verdict
from reconciler.state.external_store import ExternalFacts, Outcome, login_of
from shared.consumers.storage_connection import PROXIES_SUPPORTED, ProxySupport
from shared.objects.conditions import Finding
from shared.session_storage.endpoint import Endpoint
from shared.session_storage.models import Phase

if TYPE_CHECKING:
    from reconciler.credentials.login import Credentials
    from shared.session_storage.models import External

RECHECK_SECONDS: Final = 30.0
"""How often a store that is well is dialled: a new connection each time, which its owner sees in his logs."""
RETRY_SECONDS: Final = 5.0
"""How soon one is dialled again that could not be used."""

HANDED_ON: Final = "CredentialHandedOn"
"""Type of the condition that says why consumers do not get what is in the user's Secret now."""
_USABLE: Final = Verdict(Phase.READY, Outcome.OK, "the external store takes writes with this credential")

_NEXT_STEPS: Final = {
    Outcome.DNS: "check the host in spec.external.url",
    Outcome.REFUSED: "check host and port in spec.external.url, and that the store runs",
    Outcome.TIMEOUT: "check the address, and NetworkPolicies or firewalls in between",
    Outcome.TLS: "check that the certificate names the host, and that the Secret's ca.crt signed it",
    Outcome.AUTH: "check the keys username and password of the Secret that spec.external.secretRef names",
    Outcome.READ_ONLY: "name the primary in spec.external.url",
    Outcome.UNUSABLE: "see the store's own log",
}
_SUPPORT_MESSAGES: Final = {
    ProxySupport.PLAIN: "ToolHive's proxies are connected",
    ProxySupport.SYSTEM_TLS: "ToolHive's proxies are connected by TLS, and trust the system's roots",
    ProxySupport.CA_TLS: "ToolHive's proxies are connected by TLS, and trust the Secret's ca.crt",
    ProxySupport.NO_USER_NAME: (
        "ToolHive's proxies cannot log in with a user name: they keep sessions by themselves, and only environment"
        " variables are injected; use a password of the user `default`"
    ),
    ProxySupport.NO_TLS: (
        "this cluster's ToolHive has no spec.sessionStorage.tls (it came after 0.48): proxies keep sessions by"
        " themselves, and only environment variables are injected; upgrade ToolHive, or use redis://"
    ),
    ProxySupport.NOT_CHECKED: "the Secret could not be read yet",
}


def proxy_support(endpoint: Endpoint, login: Credentials | None, *, serves_tls: bool) -> ProxySupport:
    """Tell whether and how ToolHive's proxies can use a store."""
    if login is None:
        return ProxySupport.NOT_CHECKED
    if login.username:
        return ProxySupport.NO_USER_NAME
    if not endpoint.is_tls:
        return ProxySupport.PLAIN
    if not serves_tls:
        return ProxySupport.NO_TLS
    return ProxySupport.CA_TLS if login.ca else ProxySupport.SYSTEM_TLS


def pause_seconds(facts: ExternalFacts) -> float:
    """Tell when to look again without an event."""
    if facts.report is None:
        return RECHECK_SECONDS  # the Secret is watched
    return RECHECK_SECONDS if facts.report.outcome is Outcome.OK else RETRY_SECONDS


def judge(external: External, facts: ExternalFacts, *, was_ready: bool, connection_secret: str) -> Verdict:
    """Sum up an external storage."""
    login, endpoint = login_of(external, facts.secret), Endpoint.of_url(external.url)
    support = _supported(proxy_support(endpoint, login, serves_tls=facts.serves_tls))
    verdict = _verdict(external, facts, endpoint, was_ready=was_ready)
    also: tuple[Finding, ...] = (support,)
    if facts.handed_out is not None and facts.handed_out.outcome is Outcome.OK:
        message = f"the credential in Secret {external.secret_ref} does not work, and consumers keep the one before"
        also = (support, Finding(HANDED_ON, "False", verdict.reason, f"{message}: {verdict.message}"))
        verdict = _USABLE
    return replace(verdict, connection_secret=connection_secret, also=also)


def _verdict(external: External, facts: ExternalFacts, endpoint: Endpoint, *, was_ready: bool) -> Verdict:
    unready = Phase.DEGRADED if was_ready else Phase.PENDING
    if external.secret_ref and facts.secret is None:
        message = f"Secret {external.secret_ref} does not exist: create it in this namespace with the key password"
        return Verdict(unready, "SecretNotFound", message)
    report = facts.report
    if report is None:
        return Verdict(
            unready, "SecretKeyMissing", f"Secret {external.secret_ref} has no readable key password: add it"
        )
    if report.outcome is Outcome.OK:
        return _USABLE
    message = f"{endpoint.address}: {report.detail}: {_NEXT_STEPS[report.outcome]}"
    return Verdict(unready, report.outcome, message)


def _supported(support: ProxySupport) -> Finding:
    match support:
        case ProxySupport.NOT_CHECKED:
            return Finding(PROXIES_SUPPORTED, "Unknown", support, _SUPPORT_MESSAGES[support])
        case ProxySupport.NO_USER_NAME | ProxySupport.NO_TLS:
            return Finding(PROXIES_SUPPORTED, "False", support, _SUPPORT_MESSAGES[support])
        case _:
            return Finding(PROXIES_SUPPORTED, "True", support, _SUPPORT_MESSAGES[support])
