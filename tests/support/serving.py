"""Certificates with which a test serves reviews over TLS, and with which a client verifies them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from certs.pki import issue, validation
from certs.pki.pem import bundle_pem, encoded
from webhook.serving_certificate import ServingCertificate

NAMES = validation.dns_names("r-webhook", "session-storage-system")


def serving_certificate() -> tuple[ServingCertificate, ssl.SSLContext]:
    """Make a certificate for these names, and the settings of a client that trusts it."""
    now = datetime.now(UTC)
    authority = issue.issue_authority(now)
    leaf = issue.issue_serving(authority, NAMES, now)
    bundle = bundle_pem([authority.certificate])
    content = {"tls.crt": leaf.certificate_pem, "tls.key": leaf.key_pem, "ca.crt": bundle}
    certificate = ServingCertificate(NAMES, lambda: now)
    certificate.on_change(None, {"data": {key: encoded(value) for key, value in content.items()}})
    return certificate, ssl.create_default_context(cadata=bundle.decode())
