"""The reconciler's settings, from its environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from reconciler.manifests.network_policy import Peers
from reconciler.manifests.stateful_set import Image
from reconciler.plan.desired_objects import StorageSettings
from reconciler.rotation.phases import RotationSettings
from reconciler.runtime.leader_election import Candidate
from shared.consumers.targets import Target
from shared.process.environment import FromEnvironment
from shared.session_storage.allowed_hosts import ENTRY_FORM, AllowedHosts, parse_entry

if TYPE_CHECKING:
    from shared.process.environment import Environment

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
                env.text("VALKEY_PRIORITY_CLASS", ""),
                env.number("UPDATES_AT_ONCE", 1, 1000),
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
