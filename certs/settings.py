"""The certificate controller's settings, from its environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from certs.pki.lifetimes import DEFAULT, Lifetimes
from certs.rotation.ca_bundles import WebhookConfiguration
from shared.objects.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from shared.process.environment import FromEnvironment

if TYPE_CHECKING:
    from shared.process.environment import Environment

_KINDS: Final = {"mutating": MUTATING_WEBHOOKS, "validating": VALIDATING_WEBHOOKS}

SHORTEST_LIFE: Final = timedelta(seconds=2)
"""Certificates count in whole seconds, so a shorter life may be nearly over when it begins."""


@dataclass(frozen=True, slots=True)
class CertificateSettings(FromEnvironment):
    """Where the certificates are stored and which webhook configurations carry their CA bundle.

    Attributes:
        namespace: Namespace of both Secrets and of the webhook's Service.
        service: The webhook's Service; the serving certificate carries its DNS names.
        ca_secret: Secret with the authority; webhook pods may not read it.
        tls_secret: Secret that webhook pods serve from.
        configurations: Webhook configurations whose `caBundle` the controller writes.
        issues: Whether the controller issues the certificates; else another issuer writes the serving Secret.
        webhook_selector: Label selector of the webhook's pods.
        lifetimes: How long certificates live.
    """

    namespace: str
    service: str
    ca_secret: str
    tls_secret: str
    configurations: tuple[WebhookConfiguration, ...]
    issues: bool
    webhook_selector: str
    lifetimes: Lifetimes

    @classmethod
    def _read(cls, env: Environment) -> Self:
        return cls(
            namespace=env.required("POD_NAMESPACE"),
            service=env.required("WEBHOOK_SERVICE"),
            ca_secret=env.required("CA_SECRET"),
            tls_secret=env.required("TLS_SECRET"),
            configurations=env.entries(
                "WEBHOOK_CONFIGURATIONS", _configuration, "mutating/<name> or validating/<name>"
            ),
            issues=env.flag("ISSUE_CERTIFICATES", default=True),
            webhook_selector=env.required("WEBHOOK_SELECTOR"),
            lifetimes=_lifetimes(env),
        )


def _lifetimes(env: Environment) -> Lifetimes:
    lifetimes = Lifetimes(
        authority=env.duration("AUTHORITY_LIFE", DEFAULT.authority, SHORTEST_LIFE),
        serving=env.duration("SERVING_LIFE", DEFAULT.serving, SHORTEST_LIFE),
        back_dating=env.duration("BACK_DATING", DEFAULT.back_dating, timedelta()),
        renew_at=env.fraction("RENEW_AT", DEFAULT.renew_at),
        dwell=env.duration("DWELL", DEFAULT.dwell, timedelta()),
    )
    if lifetimes.left_at_renewal <= 2 * lifetimes.dwell:
        env.fault("AUTHORITY_LIFE ends before a rotation that begins at RENEW_AT has waited twice for DWELL")
    return lifetimes


def _configuration(entry: str) -> WebhookConfiguration | None:
    kind, _, name = entry.partition("/")
    return WebhookConfiguration(_KINDS[kind], name) if kind in _KINDS and name else None
