"""The settings of the installation that apply to every storage. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.manifests.stateful_set import Image, Placement
from reconciler.rotation.phases import RotationSettings

if TYPE_CHECKING:
    from reconciler.manifests.network_policy import Peers


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """The settings of the installation that apply to every storage.

    Attributes:
        image: Of Valkey.
        peers: Pods that may reach storages besides the consumers.
        rotation: How passwords change.
        placement: How Kubernetes places instances on nodes.
        updates_at_once: How many storages the reconciler may update at the same time.
    """

    image: Image
    peers: Peers
    rotation: RotationSettings = field(default_factory=RotationSettings)
    placement: Placement = field(default_factory=Placement)
    updates_at_once: int = 1
