"""What the certificate keeper is told by its environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from certs.rotate import WebhookConfiguration
from shared.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from shared.settings import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final = {"mutating": MUTATING_WEBHOOKS, "validating": VALIDATING_WEBHOOKS}


@dataclass(frozen=True, slots=True)
class CertificateSettings:
    """Where the certificates live and who must trust them.

    Attributes:
        namespace: Of both Secrets and of the webhook's Service.
        service: The webhook's Service, which the serving certificate names.
        ca_secret: Secret with the authority; webhook pods may not read it.
        tls_secret: Secret that webhook pods serve from.
        configurations: Webhook configurations whose `caBundle` is kept.
    """

    namespace: str
    service: str
    ca_secret: str
    tls_secret: str
    configurations: tuple[WebhookConfiguration, ...]

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from environment variables.

        Raises:
            InvalidSettings: Variables are missing or malformed; the message lists all of them.
        """
        env = Environment(environ)
        settings = cls(
            namespace=env.required("POD_NAMESPACE"),
            service=env.required("WEBHOOK_SERVICE"),
            ca_secret=env.required("CA_SECRET"),
            tls_secret=env.required("TLS_SECRET"),
            configurations=env.entries(
                "WEBHOOK_CONFIGURATIONS", _configuration, "mutating/<name> or validating/<name>"
            ),
        )
        env.check()
        return settings


def _configuration(entry: str) -> WebhookConfiguration | None:
    kind, _, name = entry.partition("/")
    return WebhookConfiguration(_KINDS[kind], name) if kind in _KINDS and name else None
