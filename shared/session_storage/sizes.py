"""What a size decides: CPU, memory, `maxmemory`, disk, persistence and the number of instances. Pure.

These figures are a promise to users: documentation and chart show them, so a change belongs in the release notes. A
platform team may put other figures behind the sizes (`size_settings`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Size(StrEnum):
    """How much storage a user asks for."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


@dataclass(frozen=True, slots=True)
class Preset:
    """Everything that a size decides.

    Attributes:
        replicas: Number of Valkey instances, one of them primary.
        memory_mib: Request and limit of each instance; equal, so that Kubernetes evicts other pods first.
        cpu_millis: Request of each instance; no limit, because throttling shows as latency.
        disk_gib: Size of the data volume, or of the scratch space in which a pod keeps its data.
        is_persistent: Whether data survives the pod (a claim) or goes with it (`emptyDir`).
        maxmemory_percent: Share of the memory limit that data may fill; the rest is for replication and AOF
            buffers and copy-on-write, which eviction does not count.
        backlog_mib: Writes that a replica may miss without a full resync; they take memory from the rest.
    """

    replicas: int
    memory_mib: int
    cpu_millis: int
    disk_gib: int
    is_persistent: bool
    maxmemory_percent: int
    backlog_mib: int

    @property
    def is_redundant(self) -> bool:
        """Whether another instance takes over when the primary fails."""
        return self.replicas > 1

    @property
    def volume_gib(self) -> int:
        """Size of the volume that outlives a pod in GiB; 0 if there is none."""
        return self.disk_gib if self.is_persistent else 0

    @property
    def fence(self) -> int:
        """Value of Valkey's `min-replicas-to-write`: a redundant primary that is cut off must stop taking writes."""
        return 1 if self.is_redundant else 0

    @property
    def backlog_bytes(self) -> int:
        """Value of Valkey's `repl-backlog-size`."""
        return self.backlog_mib * 1024 * 1024

    @property
    def maxmemory_bytes(self) -> int:
        """Value of Valkey's `maxmemory`."""
        return self.memory_mib * 1024 * 1024 * self.maxmemory_percent // 100


DEFAULT_SIZE: Final = Size.MEDIUM

PRESETS: Final = {
    Size.SMALL: Preset(1, 256, 100, 1, is_persistent=False, maxmemory_percent=60, backlog_mib=8),
    Size.MEDIUM: Preset(1, 512, 250, 5, is_persistent=True, maxmemory_percent=65, backlog_mib=16),
    Size.LARGE: Preset(3, 1024, 500, 10, is_persistent=True, maxmemory_percent=70, backlog_mib=64),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """What each size decides in this installation."""

    presets: Mapping[Size, Preset] = field(default_factory=lambda: PRESETS)

    def of(self, size: Size | None) -> Preset:
        """Return what a size decides; a storage that names none has the default size."""
        return self.presets[size or DEFAULT_SIZE]

    def shrinks(self, before: Size, after: Size) -> bool:
        """Tell whether the new size has a smaller disk than the old one; Kubernetes shrinks no volume."""
        return self.of(after).volume_gib < self.of(before).volume_gib


DEFAULT_SIZES: Final = Sizes()
