"""The controller starts with complete settings, or names everything that is missing."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest

from certs.pki.lifetimes import Lifetimes
from certs.rotation.ca_bundles import WebhookConfiguration
from certs.settings import CertificateSettings
from shared.errors import InvalidSettings
from shared.objects.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS

ENVIRON = {
    "POD_NAMESPACE": "session-storage-system",
    "WEBHOOK_SERVICE": "release-webhook",
    "CA_SECRET": "release-webhook-ca",
    "TLS_SECRET": "release-webhook-tls",
    "WEBHOOK_CONFIGURATIONS": "mutating/release-webhook, validating/other",
    "WEBHOOK_SELECTOR": "a=b,c=d",
}


def test_settings_are_read_from_the_environment() -> None:
    assert CertificateSettings.from_environ(ENVIRON) == CertificateSettings(
        namespace="session-storage-system",
        service="release-webhook",
        ca_secret="release-webhook-ca",
        tls_secret="release-webhook-tls",
        configurations=(
            WebhookConfiguration(MUTATING_WEBHOOKS, "release-webhook"),
            WebhookConfiguration(VALIDATING_WEBHOOKS, "other"),
        ),
        issues=True,
        webhook_selector="a=b,c=d",
        lifetimes=Lifetimes(),
    )


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        CertificateSettings.from_environ({})
    assert all(name in str(caught.value) for name in ENVIRON)


@pytest.mark.parametrize("entry", ["release-webhook", "converting/x", "mutating/", "/x"])
def test_a_configuration_of_unknown_kind_is_refused(entry: str) -> None:
    with pytest.raises(InvalidSettings, match="is not mutating/<name> or validating/<name>"):
        CertificateSettings.from_environ({**ENVIRON, "WEBHOOK_CONFIGURATIONS": entry})


def test_lives_are_durations_with_a_unit() -> None:
    lives = {"AUTHORITY_LIFE": "8s", "SERVING_LIFE": "90m", "RENEW_AT": "0.25", "BACK_DATING": "0s", "DWELL": "250ms"}
    assert CertificateSettings.from_environ(ENVIRON | lives).lifetimes == Lifetimes(
        authority=timedelta(seconds=8),
        serving=timedelta(minutes=90),
        back_dating=timedelta(),
        renew_at=Fraction(1, 4),
        dwell=timedelta(milliseconds=250),
    )


def test_an_authority_must_outlive_its_replacement() -> None:
    with pytest.raises(InvalidSettings, match="AUTHORITY_LIFE ends before"):
        CertificateSettings.from_environ(ENVIRON | {"AUTHORITY_LIFE": "6m"})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("AUTHORITY_LIFE", "1s"),
        ("SERVING_LIFE", "30"),
        ("SERVING_LIFE", "-1d"),
        ("DWELL", "soon"),
        ("RENEW_AT", "1"),
        ("RENEW_AT", "3/2"),
        ("RENEW_AT", "1/0"),
        ("RENEW_AT", "half"),
    ],
)
def test_an_impossible_life_is_refused(variable: str, text: str) -> None:
    with pytest.raises(InvalidSettings, match=variable):
        CertificateSettings.from_environ(ENVIRON | {variable: text})
