"""What a platform team puts behind the sizes, as the chart hands it over. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BeforeValidator, Field

from shared.errors import InvalidSettings
from shared.objects import quantities
from shared.objects.structured_setting import StructuredSetting
from shared.session_storage.sizes import DEFAULT_SIZES, PRESETS, Preset, Size, Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INSTANCES: Final = frozenset({1, 3, 4, 5})
"""How many instances a size may have. Of two, neither could be lost: the primary takes writes only while a replica
follows (`Preset.fence`)."""
LEAST_MEMORY: Final = 2
"""A size needs at least this fraction (1/2) of its default memory. What `maxmemory` leaves free must hold the backlog
of replication, the buffers of clients and replicas, and the pages that a rewrite of the file copies."""


def _amount(read: Callable[[str], int | None], form: str) -> BeforeValidator:
    """Read a quantity; the API server accepts more spellings than these, and stores all of them as these."""

    def amount(value: object) -> int | None:
        found = read(str(value)) if isinstance(value, str | int | float) else None
        if value is not None and not found:
            raise ValueError(f"must be {form}")
        return found

    return BeforeValidator(amount)


class SizeSetting(StructuredSetting):
    """What one size stands for; a field that is absent keeps its default.

    Attributes:
        memory: Request and limit of each instance, in MiB.
        cpu: Request of each instance, in thousandths of a core.
        disk: Size of the data volume, in GiB.
        replicas: Number of instances.
    """

    memory: Annotated[int | None, _amount(quantities.mebibytes, "an amount of whole Mi or Gi, such as 512Mi")] = None
    cpu: Annotated[int | None, _amount(quantities.millicores, "an amount of CPU, such as 250m or 0.5")] = None
    disk: Annotated[int | None, _amount(quantities.gibibytes, "an amount of whole Gi or Ti, such as 5Gi")] = None
    replicas: int | None = None

    def on(self, preset: Preset) -> Preset:
        """Return a preset with these figures."""
        return replace(
            preset,
            memory_mib=self.memory or preset.memory_mib,
            cpu_millis=self.cpu or preset.cpu_millis,
            disk_gib=self.disk or preset.disk_gib,
            replicas=preset.replicas if self.replicas is None else self.replicas,
        )


class SizeSettings(StructuredSetting):
    """What the three sizes stand for."""

    small: SizeSetting = Field(default_factory=SizeSetting)
    medium: SizeSetting = Field(default_factory=SizeSetting)
    large: SizeSetting = Field(default_factory=SizeSetting)


def parse_sizes(text: str) -> Sizes:
    """Read what the sizes stand for.

    Raises:
        InvalidSettings: The text does not fit; the message names each size and what is wrong with it.
    """
    settings = SizeSettings.from_json(text)
    given = {Size.SMALL: settings.small, Size.MEDIUM: settings.medium, Size.LARGE: settings.large}
    presets = {size: setting.on(DEFAULT_SIZES.of(size)) for size, setting in given.items()}
    if problems := [f"{size}.{problem}" for size, preset in presets.items() for problem in _problems(size, preset)]:
        raise InvalidSettings("; ".join(problems))
    return Sizes(presets)


def _problems(size: Size, preset: Preset) -> Iterator[str]:
    least = PRESETS[size].memory_mib // LEAST_MEMORY
    if preset.memory_mib < least:
        yield f"memory: must be at least {quantities.memory(least)}"
    if preset.replicas not in INSTANCES:
        yield "replicas: must be 1, or 3 to 5: with 2, the loss of either instance would stop all writes"
