"""What the reconciler is told by its environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from reconciler.leader import Candidate
from reconciler.plan import Settings as StorageSettings
from shared.errors import InvalidSettings
from shared.manifests import Peers
from shared.workload import Image

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUIRED: Final = ("POD_NAME", "POD_NAMESPACE", "LEASE_NAME", "VALKEY_IMAGE", "RECONCILER_SELECTOR")


@dataclass(frozen=True, slots=True)
class Settings:
    """The reconciler's own settings.

    Attributes:
        candidate: Who stands for election.
        storage: What the installation decides about every storage.
        extends_toolhive_crds: Whether to add `sessionStorageRef` to ToolHive's CRD.
        http_port: Port of probes and metrics.
        log_level: As Python names it.
    """

    candidate: Candidate
    storage: StorageSettings
    extends_toolhive_crds: bool
    http_port: int
    log_level: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from environment variables.

        Raises:
            InvalidSettings: Variables are missing or malformed; the message lists all of them.
        """
        problems = [f"{name} is not set" for name in _REQUIRED if not environ.get(name)]
        port = environ.get("HTTP_PORT", "8080")
        if not port.isdigit():
            problems.append("HTTP_PORT is no number")
        extends = environ.get("EXTEND_TOOLHIVE_CRDS", "true")
        if extends not in {"true", "false"}:
            problems.append("EXTEND_TOOLHIVE_CRDS is neither true nor false")
        labels = _labels(environ.get("RECONCILER_SELECTOR", ""), problems)
        if problems:
            raise InvalidSettings("; ".join(problems))
        return cls(
            candidate=Candidate(environ["POD_NAMESPACE"], environ["LEASE_NAME"], environ["POD_NAME"]),
            storage=StorageSettings(
                image=Image(environ["VALKEY_IMAGE"], environ.get("VALKEY_PULL_POLICY", "IfNotPresent")),
                peers=Peers(environ["POD_NAMESPACE"], labels),
            ),
            extends_toolhive_crds=extends == "true",
            http_port=int(port),
            log_level=environ.get("LOG_LEVEL", "INFO"),
        )


def _labels(text: str, problems: list[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    if any(not key or not value for key, _, value in pairs):
        problems.append("RECONCILER_SELECTOR is not of the form key=value,key=value")
    return {key: value for key, _, value in pairs}
