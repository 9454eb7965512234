"""What the certificate keeper is told by its environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from certs.rotate import WebhookConfiguration
from shared.errors import InvalidSettings
from shared.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final = {"mutating": MUTATING_WEBHOOKS, "validating": VALIDATING_WEBHOOKS}
_VARIABLES: Final = ("POD_NAMESPACE", "WEBHOOK_SERVICE", "CA_SECRET", "TLS_SECRET", "WEBHOOK_CONFIGURATIONS")


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
        problems = [f"{name} is not set" for name in _VARIABLES if not environ.get(name)]
        entries = [entry.strip() for entry in environ.get("WEBHOOK_CONFIGURATIONS", "").split(",") if entry.strip()]
        problems += [
            f"WEBHOOK_CONFIGURATIONS: {entry!r} is neither mutating/<name> nor validating/<name>"
            for entry in entries
            if not _is_configuration(entry)
        ]
        if problems:
            raise InvalidSettings("; ".join(problems))
        return cls(
            namespace=environ["POD_NAMESPACE"],
            service=environ["WEBHOOK_SERVICE"],
            ca_secret=environ["CA_SECRET"],
            tls_secret=environ["TLS_SECRET"],
            configurations=tuple(_configuration(entry) for entry in entries),
        )


def _is_configuration(entry: str) -> bool:
    kind, _, name = entry.partition("/")
    return kind in _KINDS and bool(name)


def _configuration(entry: str) -> WebhookConfiguration:
    kind, _, name = entry.partition("/")
    return WebhookConfiguration(_KINDS[kind], name)
