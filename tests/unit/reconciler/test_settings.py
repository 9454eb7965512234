"""The settings that the reconciler reads from its environment."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

import pytest

from reconciler.manifests.instance_spec import Image
from reconciler.manifests.network_policy import Peers
from reconciler.manifests.network_policy_settings import NetworkPolicySettings
from reconciler.manifests.valkey_pods import ValkeyPods
from reconciler.rotation.phases import RotationSettings
from reconciler.runtime.leader_election import Candidate
from reconciler.settings import Settings
from shared.errors import InvalidSettings
from shared.session_storage.allowed_hosts import AllowedHosts
from shared.session_storage.sizes import Size, Sizes

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


def test_the_limit_of_updates_is_read() -> None:
    assert Settings.from_environ(ENVIRON).storage.updates_at_once == 1
    assert Settings.from_environ(ENVIRON | {"UPDATES_AT_ONCE": "5"}).storage.updates_at_once == 5
    assert "UPDATES_AT_ONCE" in problems(UPDATES_AT_ONCE="many")


def test_what_a_platform_team_says_of_valkeys_pods_is_read() -> None:
    default = Settings.from_environ(ENVIRON).storage
    assert (default.pods, default.network, default.sizes) == (ValkeyPods(), NetworkPolicySettings(), Sizes())
    said = {
        "VALKEY_PODS": '{"priorityClassName":"high","scheduling":{"nodeSelector":{"pool":"stateful"}},"cpuLimit":2}',
        "VALKEY_NETWORK_POLICY": '{"enabled":false}',
        "VALKEY_SIZES": '{"large":{"memory":"2Gi"}}',
    }
    read = Settings.from_environ(ENVIRON | said).storage
    assert (read.pods.priority_class_name, read.pods.cpu_limit) == ("high", 2000)
    assert read.pods.scheduling.selector == {"pool": "stateful", "kubernetes.io/os": "linux"}
    assert not read.network.enabled
    assert [read.sizes.of(size).memory_mib for size in Size] == [256, 512, 2048]


def test_a_field_that_is_null_counts_as_absent() -> None:
    """Helm keeps a null that somebody wrote to unset a default; Kubernetes drops it from what it stores."""
    text = '{"podSecurityContext":{"runAsUser":null,"fsGroup":7},"podLabels":null,"cpuLimit":null}'
    pods = Settings.from_environ(ENVIRON | {"VALKEY_PODS": text}).storage.pods
    assert pods == ValkeyPods(pod_security_context={"fsGroup": 7})


def test_values_that_an_older_release_did_not_have_mean_the_defaults() -> None:
    """`helm upgrade --reuse-values` renders them as null."""
    names = ("VALKEY_PODS", "VALKEY_NETWORK_POLICY", "VALKEY_SIZES")
    assert Settings.from_environ(ENVIRON | dict.fromkeys(names, "null")).storage.sizes == Sizes()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("VALKEY_PODS", "{", "VALKEY_PODS: is no JSON"),
        ("VALKEY_PODS", '{"tolerations":[]}', "VALKEY_PODS: tolerations: Extra inputs are not permitted"),
        (
            "VALKEY_PODS",
            '{"scheduling":{"tolerations":[{"effect":"Never"}]}}',
            "VALKEY_PODS: scheduling.tolerations.0.effect: Input should be",
        ),
        ("VALKEY_PODS", '{"cpuLimit":"fast"}', "VALKEY_PODS: cpuLimit: must be an amount of CPU, such as 2 or 500m"),
        ("VALKEY_PODS", '{"cpuLimit":"400m"}', "VALKEY_PODS: cpuLimit: must be at least 500m"),
        (
            "VALKEY_PODS",
            '{"podLabels":{"toolhive.stacklok.dev/storage":"x"}}',
            "VALKEY_PODS: podLabels: toolhive.stacklok.dev/storage: names under toolhive.stacklok.dev are the",
        ),
        ("VALKEY_NETWORK_POLICY", '{"extraIngress":[{"to":[]}]}', "VALKEY_NETWORK_POLICY: extraIngress.0.to: Extra"),
        ("VALKEY_SIZES", '{"large":{"replicas":2}}', "VALKEY_SIZES: large.replicas: must be 1, or 3 to 5: with 2"),
    ],
)
def test_a_value_that_no_pod_could_have_stops_the_process_and_is_named(name: str, text: str, said: str) -> None:
    assert said in problems(**{name: text})


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
