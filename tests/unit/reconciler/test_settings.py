"""The settings that the reconciler reads from its environment."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

import pytest

from reconciler.manifests.network_policy import Peers
from reconciler.manifests.instance_spec import Image
from reconciler.rotation.phases import RotationSettings
from reconciler.runtime.leader_election import Candidate
from reconciler.settings import Settings
from shared.errors import InvalidSettings
from shared.session_storage.allowed_hosts import AllowedHosts

ENVIRON = {
    "POD_NAME": "ours-reconciler-1",
    "POD_NAMESPACE": "session-storage-system",
    "LEASE_NAME": "ours-reconciler",
    "VALKEY_IMAGE": "registry.example/valkey:9",
    "RECONCILER_SELECTOR": "app.kubernetes.io/name=ours,app.kubernetes.io/component=reconciler",
}


def problems(**changes: str | None) -> str:
    environ = {key: value for key, value in (ENVIRON | changes).items() if value is not None}
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environ(environ)
    return str(caught.value)


def test_unset_variables_have_defaults() -> None:
    settings = Settings.from_environ(ENVIRON)
    assert settings.candidate == Candidate("session-storage-system", "ours-reconciler", "ours-reconciler-1")
    assert settings.storage.image == Image("registry.example/valkey:9", "IfNotPresent")
    labels = {"app.kubernetes.io/name": "ours", "app.kubernetes.io/component": "reconciler"}
    assert settings.storage.peers == Peers("session-storage-system", labels)
    assert (settings.extends_toolhive_crds, settings.http_port, settings.log_level) == (True, 8080, "INFO")


def test_variables_override_the_defaults() -> None:
    said = {"EXTEND_TOOLHIVE_CRDS": "false", "HTTP_PORT": "9", "LOG_LEVEL": "debug", "VALKEY_PULL_POLICY": "Always"}
    settings = Settings.from_environ(ENVIRON | said)
    assert (settings.extends_toolhive_crds, settings.http_port, settings.log_level) == (False, 9, "DEBUG")
    assert settings.storage.image.pull_policy == "Always"


def test_the_taints_of_a_drain_are_a_list() -> None:
    assert Settings.from_environ(ENVIRON).drain_taints == ()
    said = {"DRAIN_TAINTS": "karpenter.sh/disrupted, aws-node-termination-handler/*,"}
    assert Settings.from_environ(ENVIRON | said).drain_taints == (
        "karpenter.sh/disrupted",
        "aws-node-termination-handler/*",
    )


def test_rotations_have_settings_of_their_own() -> None:
    assert Settings.from_environ(ENVIRON).storage.rotation == RotationSettings()
    said = {
        "ROTATION_WAVE_PERCENT": "25",
        "ROTATION_PATIENCE_SECONDS": "60",
        "ROTATION_REFRESH_SECONDS": "0",
        "ROTATIONS_AT_ONCE": "3",
    }
    assert Settings.from_environ(ENVIRON | said).storage.rotation == RotationSettings(
        25, timedelta(minutes=1), timedelta(0), 3
    )
    assert "ROTATION_WAVE_PERCENT is no number from 0 to 100" in problems(ROTATION_WAVE_PERCENT="101")


def test_priority_class_and_limit_of_updates_are_read() -> None:
    default = Settings.from_environ(ENVIRON).storage
    assert (default.priority_class, default.updates_at_once) == ("", 1)
    said = Settings.from_environ(ENVIRON | {"VALKEY_PRIORITY_CLASS": "important", "UPDATES_AT_ONCE": "5"}).storage
    assert (said.priority_class, said.updates_at_once) == ("important", 5)
    assert "UPDATES_AT_ONCE" in problems(UPDATES_AT_ONCE="many")


@pytest.mark.parametrize("name", sorted(ENVIRON))
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named(name: str, value: str | None) -> None:
    assert f"{name} is not set" in problems(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "http"),
        ("HTTP_PORT", "-1"),
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", "²"),
        ("EXTEND_TOOLHIVE_CRDS", "yes"),
        ("LOG_LEVEL", "loud"),
        ("RECONCILER_SELECTOR", "justakey"),
        ("RECONCILER_SELECTOR", "=value"),
        ("RECONCILER_SELECTOR", ",,"),
    ],
)
def test_a_malformed_variable_is_named(name: str, value: str) -> None:
    assert name in problems(**{name: value})


def test_all_problems_are_reported_at_once() -> None:
    told = problems(POD_NAME=None, LEASE_NAME=None, HTTP_PORT="x")
    assert all(name in told for name in ("POD_NAME", "LEASE_NAME", "HTTP_PORT"))


def test_the_namespaces_to_watch_are_listed_by_name() -> None:
    assert Settings.from_environ(ENVIRON).watch_namespaces == ()
    assert Settings.from_environ(ENVIRON | {"WATCH_NAMESPACES": "team,shop"}).watch_namespaces == ("team", "shop")
    assert "WATCH_NAMESPACES: 'My Team' is not the name of a namespace" in problems(WATCH_NAMESPACES="team,My Team")


def test_the_hosts_of_external_storages_are_read_and_the_api_server_is_none_of_them() -> None:
    by_default = Settings.from_environ({**ENVIRON, "KUBERNETES_SERVICE_HOST": "10.96.0.1"}).allowed_hosts
    assert by_default.problem_of_host("10.0.0.1") == ""
    assert "API server" in by_default.problem_of_host("10.96.0.1")
    said = {"EXTERNAL_ALLOWED_HOSTS": "*.cache.example.com, 10.1.0.0/16,"}
    listed = Settings.from_environ(ENVIRON | said).allowed_hosts
    assert listed == AllowedHosts.of(["*.cache.example.com", ip_network("10.1.0.0/16")])
    with pytest.raises(InvalidSettings, match="EXTERNAL_ALLOWED_HOSTS"):
        Settings.from_environ(ENVIRON | {"EXTERNAL_ALLOWED_HOSTS": "10.1.0.0/33"})
