"""What the installation decides about every storage. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.manifests.stateful_set import Image, Placement
from reconciler.rotation.phases import RotationSettings

if TYPE_CHECKING:
    from reconciler.manifests.network_policy import Peers


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """What the installation decides about every storage.

    Attributes:
        image: Valkey's.
        peers: Who may reach storages besides their consumers.
        rotation: How passwords change.
        placement: Where instances run.
        updates_at_once: How many storages may be brought up to date at the same time.
    """

    image: Image
    peers: Peers
    rotation: RotationSettings = field(default_factory=RotationSettings)
    placement: Placement = field(default_factory=Placement)
    updates_at_once: int = 1
