from __future__ import annotations

import pytest

from shared.errors import InvalidSettings
from webhook.settings import Settings

REQUIRED = {"POD_NAMESPACE": "session-storage-system", "TLS_SECRET": "r-webhook-tls", "WEBHOOK_SERVICE": "r-webhook"}


def test_three_variables_are_enough() -> None:
    settings = Settings.from_environ(REQUIRED)
    assert (settings.webhook_port, settings.http_port, settings.drain_seconds) == (9443, 8080, 5)
    assert (settings.namespace, settings.tls_secret, settings.service) == tuple(REQUIRED.values())
    assert settings.log_level == "INFO"


def test_all_problems_are_listed() -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environ({"TLS_SECRET": "x", "WEBHOOK_PORT": "70000", "HTTP_PORT": "-1", "DRAIN_SECONDS": "²"})
    assert str(caught.value) == (
        "POD_NAMESPACE is not set; WEBHOOK_SERVICE is not set; WEBHOOK_PORT is no number from 0 to 65535;"
        " HTTP_PORT is no number from 0 to 65535; DRAIN_SECONDS is no number from 0 to 300"
    )


def test_service_accounts_are_trusted_by_name() -> None:
    environ = REQUIRED | {"TRUSTED_SERVICE_ACCOUNTS": "system:serviceaccount:flux:*, system:serviceaccount:ci:deployer"}
    trusted = Settings.from_environ(environ).trusted_accounts
    assert trusted.is_judged("system:serviceaccount:ci:deployer")
    assert not trusted.is_judged("system:serviceaccount:ci:other")
    with pytest.raises(InvalidSettings, match="'flux' is not system:serviceaccount:namespace:name"):
        Settings.from_environ(REQUIRED | {"TRUSTED_SERVICE_ACCOUNTS": "flux"})
