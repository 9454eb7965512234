from __future__ import annotations

from ipaddress import ip_network

import pytest

from shared.errors import InvalidSettings
from shared.session_storage.allowed_hosts import AllowedHosts
from webhook.settings import Settings

REQUIRED = {"POD_NAMESPACE": "session-storage-system", "TLS_SECRET": "r-webhook-tls", "WEBHOOK_SERVICE": "r-webhook"}


def test_three_variables_are_enough() -> None:
    settings = Settings.from_environ(REQUIRED)
    assert (settings.webhook_port, settings.http_port, settings.drain_seconds) == (10250, 8080, 5)
    assert (settings.namespace, settings.tls_secret, settings.service) == tuple(REQUIRED.values())
    assert settings.log_level == "INFO"
    assert settings.answer_seconds == 5


def test_all_problems_are_listed() -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environ({"TLS_SECRET": "x", "WEBHOOK_PORT": "70000", "HTTP_PORT": "-1", "DRAIN_SECONDS": "²"})
    assert str(caught.value) == (
        "POD_NAMESPACE is not set; WEBHOOK_SERVICE is not set; WEBHOOK_PORT is no number from 0 to 65535;"
        " HTTP_PORT is no number from 0 to 65535; DRAIN_SECONDS is no number from 0 to 300"
    )


def test_the_webhook_is_told_how_long_api_servers_wait() -> None:
    assert Settings.from_environ(REQUIRED | {"WEBHOOK_TIMEOUT_SECONDS": "10"}).answer_seconds == 10
    with pytest.raises(InvalidSettings, match="WEBHOOK_TIMEOUT_SECONDS is no number from 0 to 10"):
        Settings.from_environ(REQUIRED | {"WEBHOOK_TIMEOUT_SECONDS": "11"})


def test_service_accounts_are_trusted_by_name() -> None:
    environ = REQUIRED | {"TRUSTED_SERVICE_ACCOUNTS": "system:serviceaccount:flux:*, system:serviceaccount:ci:deployer"}
    trusted = Settings.from_environ(environ).trusted_accounts
    assert trusted.is_judged("system:serviceaccount:ci:deployer")
    assert not trusted.is_judged("system:serviceaccount:ci:other")
    with pytest.raises(InvalidSettings, match="'flux' is not system:serviceaccount:namespace:name"):
        Settings.from_environ(REQUIRED | {"TRUSTED_SERVICE_ACCOUNTS": "flux"})


def test_the_hosts_of_external_storages_are_read_and_the_api_server_is_none_of_them() -> None:
    by_default = Settings.from_environ({**REQUIRED, "KUBERNETES_SERVICE_HOST": "10.96.0.1"}).allowed_hosts
    assert by_default.problem_of_host("10.0.0.1") == ""
    assert "API server" in by_default.problem_of_host("10.96.0.1")
    said = {"EXTERNAL_ALLOWED_HOSTS": "*.cache.example.com, 10.1.0.0/16,"}
    listed = Settings.from_environ(REQUIRED | said).allowed_hosts
    assert listed == AllowedHosts.of(["*.cache.example.com", ip_network("10.1.0.0/16")])
    with pytest.raises(InvalidSettings, match="EXTERNAL_ALLOWED_HOSTS"):
        Settings.from_environ(REQUIRED | {"EXTERNAL_ALLOWED_HOSTS": "10.1.0.0/33"})
