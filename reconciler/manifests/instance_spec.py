"""What the StatefulSet of one Valkey instance is built for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.session_storage.sizes import DEFAULT_SIZES, Sizes

if TYPE_CHECKING:
    from shared.session_storage.sizes import Preset, Size


@dataclass(frozen=True, slots=True)
class Image:
    """Which Valkey to run."""

    reference: str
    pull_policy: str


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What the StatefulSet of one Valkey instance is built for.

    Attributes:
        disk_gib: Size of its volume, which may be larger than the size asks for; 0 if its data goes with its pod.
        is_spread: Whether instances of the storage must be spread evenly over the nodes that take them; else they only
            should be.
        sizes: What the sizes stand for.
        storage_class: StorageClass of its volume; empty means the cluster's default.
    """

    storage: str
    namespace: str
    index: int
    size: Size
    disk_gib: int
    is_spread: bool = False
    sizes: Sizes = DEFAULT_SIZES
    storage_class: str = ""

    @property
    def preset(self) -> Preset:
        """What its size decides."""
        return self.sizes.of(self.size)
