"""The reconciler's settings, from its environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from reconciler.manifests.instance_spec import Image
from reconciler.manifests.network_policy import NOTHING_ADDED, Peers
from reconciler.manifests.network_policy_settings import NetworkPolicySettings
from reconciler.manifests.valkey_pods import DEFAULT_PODS, ValkeyPods
from reconciler.plan.desired_objects import StorageSettings
from reconciler.rotation.phases import RotationSettings
from reconciler.runtime.leader_election import Candidate
from shared.consumers.targets import Target
from shared.process.environment import FromEnvironment
from shared.session_storage.allowed_hosts import ENTRY_FORM, AllowedHosts, parse_entry
from shared.session_storage.size_settings import parse_sizes
from shared.session_storage.sizes import DEFAULT_SIZES, Size

if TYPE_CHECKING:
    from shared.process.environment import Environment
    from shared.session_storage.sizes import Sizes

SECONDS_OF_A_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Settings(FromEnvironment):
    """The reconciler's own settings.

    Attributes:
        drain_taints: Keys of the taints that mark a node which is about to go; `*` stands for any characters.
        extends_toolhive_crds: Whether to add `sessionStorageRef` to ToolHive's CRD.
        http_port: Port of probes and metrics.
        default_target: Which parts of a consumer the reconciler connects, if the consumer does not say.
        allowed_hosts: Which hosts external storages may name.
        watch_namespaces: The namespaces in which the reconciler works; none stands for all.
    """

    candidate: Candidate
    storage: StorageSettings
    drain_taints: tuple[str, ...]
    extends_toolhive_crds: bool
    http_port: int
    default_target: Target
    allowed_hosts: AllowedHosts
    log_level: str
    watch_namespaces: tuple[str, ...]

    @classmethod
    def _read(cls, env: Environment) -> Self:
        namespace = env.required("POD_NAMESPACE")
        image = Image(env.required("VALKEY_IMAGE"), env.text("VALKEY_PULL_POLICY", "IfNotPresent"))
        labels = dict(env.entries("RECONCILER_SELECTOR", _label, "key=value"))
        return cls(
            candidate=Candidate(namespace, env.required("LEASE_NAME"), env.required("POD_NAME")),
            storage=StorageSettings(
                image,
                Peers(namespace, labels),
                _rotation(env),
                env.number("UPDATES_AT_ONCE", 1, 1000),
                *_pods(env),
            ),
            drain_taints=env.optional_entries("DRAIN_TAINTS", str, "the key of a taint"),
            extends_toolhive_crds=env.flag("EXTEND_TOOLHIVE_CRDS", default=True),
            http_port=env.number("HTTP_PORT", 8080, 65535),
            default_target=env.choice("DEFAULT_TARGETS", Target, Target.ALL),
            allowed_hosts=AllowedHosts.of(
                env.optional_entries("EXTERNAL_ALLOWED_HOSTS", parse_entry, ENTRY_FORM)
            ).without_api_server([env.text("KUBERNETES_SERVICE_HOST", "")]),
            log_level=env.log_level("LOG_LEVEL"),
            watch_namespaces=env.namespaces("WATCH_NAMESPACES"),
        )


def _pods(env: Environment) -> tuple[ValkeyPods, NetworkPolicySettings, Sizes]:
    """Read how Valkey's pods are made, what is added to their NetworkPolicies, and what the sizes stand for."""
    pods = env.structured("VALKEY_PODS", ValkeyPods.from_json, DEFAULT_PODS)
    sizes = env.structured("VALKEY_SIZES", parse_sizes, DEFAULT_SIZES)
    largest = max(sizes.of(size).cpu_millis for size in Size)
    if 0 < pods.cpu_limit < largest:
        env.fault(f"VALKEY_PODS: cpuLimit: must be at least {largest}m, which is what a size requests")
    return pods, env.structured("VALKEY_NETWORK_POLICY", NetworkPolicySettings.from_json, NOTHING_ADDED), sizes


def _rotation(env: Environment) -> RotationSettings:
    default = RotationSettings()
    return RotationSettings(
        wave_percent=env.number("ROTATION_WAVE_PERCENT", default.wave_percent, 100),
        patience=_seconds(env, "ROTATION_PATIENCE_SECONDS", default.patience),
        refresh=_seconds(env, "ROTATION_REFRESH_SECONDS", default.refresh),
        scheduled_at_once=env.number("ROTATIONS_AT_ONCE", default.scheduled_at_once, 1000),
    )


def _seconds(env: Environment, name: str, default: timedelta) -> timedelta:
    return timedelta(seconds=env.number(name, int(default.total_seconds()), SECONDS_OF_A_DAY))


def _label(text: str) -> tuple[str, str] | None:
    key, _, value = text.partition("=")
    return (key, value) if key and value else None
