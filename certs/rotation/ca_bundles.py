"""The `caBundle` of each webhook configuration: which authorities API servers trust, and which they should. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs.pki.pem import bundle_pem, certificates_in, encoded
from certs.rotation.ca_secret import valid_authorities
from shared.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from cryptography import x509

    from shared.objects.resources import Object, Resource


@dataclass(frozen=True, slots=True)
class WebhookConfiguration:
    """The kind and name of a webhook configuration."""

    resource: Resource
    name: str

    def __str__(self) -> str:
        return f"{self.resource.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class PublishBundle:
    """Make API servers trust these authorities and no others, for every webhook of one configuration."""

    configuration: WebhookConfiguration
    webhooks: tuple[str, ...]
    bundle: bytes


def publications(
    configurations: Mapping[WebhookConfiguration, Object], trusted: Sequence[x509.Certificate]
) -> tuple[PublishBundle, ...]:
    """List the writes after which every `caBundle` holds exactly these authorities.

    They remove authorities that somebody else added, because the owner of such an authority could pose as the webhook.
    """
    bundle = bundle_pem(trusted)
    expected = encoded(bundle)
    return tuple(
        PublishBundle(configuration, tuple(webhook["name"] for webhook in _webhooks(obj)), bundle)
        for configuration, obj in configurations.items()
        if any(entry != expected for entry in _entries(obj))
    )


def trusted_now(configurations: Mapping[WebhookConfiguration, Object], now: datetime) -> tuple[x509.Certificate, ...]:
    """List the authorities that API servers trust for any of the webhooks, without expired ones."""
    found = [certificate for obj in configurations.values() for certificate in _certificates(obj, now)]
    return tuple(dict.fromkeys(found))


def first_to_expire(obj: Object, now: datetime) -> datetime | None:
    """Tell when the first authority in a configuration's bundles expires, if there is one."""
    return min((certificate.not_valid_after_utc for certificate in _certificates(obj, now)), default=None)


def _certificates(obj: Object, now: datetime) -> tuple[x509.Certificate, ...]:
    return valid_authorities((certificate for entry in _entries(obj) for certificate in _parsed(entry)), now)


def _parsed(entry: str) -> tuple[x509.Certificate, ...]:
    try:
        return certificates_in(base64.b64decode(entry), "caBundle")
    except (ValueError, CertificateError):
        return ()


def _entries(obj: Object) -> Iterator[str]:
    return (webhook["clientConfig"].get("caBundle") or "" for webhook in _webhooks(obj))


def _webhooks(obj: Object) -> Sequence[Object]:
    return obj.get("webhooks") or ()
