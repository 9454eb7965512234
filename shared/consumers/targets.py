"""Which parts of a consumer are connected to its storage. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shared.errors import InvalidSpec
from shared.names import ANNOTATION_TARGETS
from shared.objects.field_path import dotted, read, shown

if TYPE_CHECKING:
    from shared.objects.resources import Object

ANNOTATION_PATH: Final = ("metadata", "annotations", ANNOTATION_TARGETS)


class Target(StrEnum):
    """The parts: the server behind the proxy, ToolHive's proxy, both, or neither."""

    BACKEND = "backend"
    PROXY = "proxy"
    ALL = "all"
    NONE = "none"

    @property
    def has_backend(self) -> bool:
        """Whether the backend is connected."""
        return self is Target.BACKEND or self is Target.ALL

    @property
    def has_proxy(self) -> bool:
        """Whether the proxy is connected."""
        return self is Target.PROXY or self is Target.ALL


_TARGETS: Final = {target.value: target for target in Target}


def target_of(consumer: Object, default: Target) -> Target:
    """Read which parts of a consumer are connected.

    Args:
        consumer: May say so by annotation.
        default: The installation's setting, for consumers without the annotation.

    Raises:
        InvalidSpec: The annotation has another value.
    """
    value = read(consumer, ANNOTATION_PATH)
    if value is None:
        return default
    if isinstance(value, str) and value in _TARGETS:
        return _TARGETS[value]
    supported = ", ".join(f'"{target}"' for target in Target)
    raise InvalidSpec([f"{dotted(ANNOTATION_PATH)}: Unsupported value: {shown(value)}: supported values: {supported}"])
