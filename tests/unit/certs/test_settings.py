"""The keeper starts with complete settings or says everything that is missing."""

from __future__ import annotations

import pytest

from certs.rotate import WebhookConfiguration
from certs.settings import CertificateSettings
from shared.errors import InvalidSettings
from shared.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS

ENVIRON = {
    "POD_NAMESPACE": "toolhive-system",
    "WEBHOOK_SERVICE": "release-webhook",
    "CA_SECRET": "release-webhook-ca",
    "TLS_SECRET": "release-webhook-tls",
    "WEBHOOK_CONFIGURATIONS": "mutating/release-webhook, validating/other",
}


def test_settings_are_read_from_the_environment() -> None:
    assert CertificateSettings.from_environ(ENVIRON) == CertificateSettings(
        namespace="toolhive-system",
        service="release-webhook",
        ca_secret="release-webhook-ca",
        tls_secret="release-webhook-tls",
        configurations=(
            WebhookConfiguration(MUTATING_WEBHOOKS, "release-webhook"),
            WebhookConfiguration(VALIDATING_WEBHOOKS, "other"),
        ),
    )


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        CertificateSettings.from_environ({})
    assert all(name in str(caught.value) for name in ENVIRON)


@pytest.mark.parametrize("entry", ["release-webhook", "converting/x", "mutating/", "/x"])
def test_a_configuration_of_unknown_kind_is_refused(entry: str) -> None:
    with pytest.raises(InvalidSettings, match="is not mutating/<name> or validating/<name>"):
        CertificateSettings.from_environ({**ENVIRON, "WEBHOOK_CONFIGURATIONS": entry})
