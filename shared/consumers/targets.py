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
UNTRUSTED: Final = ("spec", "untrusted")
"""ToolHive's mode for servers that must never possess a credential: its schema refuses a pod template of theirs
(ToolHive's pull request 5914; no release has it yet)."""


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

    @property
    def without_backend(self) -> Target:
        """The same without the backend."""
        return Target.PROXY if self.has_proxy else Target.NONE


_TARGETS: Final = {target.value: target for target in Target}


def is_untrusted(consumer: Object) -> bool:
    """Tell whether a server must never possess a credential, so that nobody may change its pod template."""
    return read(consumer, UNTRUSTED) is True


def target_of(consumer: Object, default: Target) -> Target:
    """Read which parts of a consumer are connected; of an untrusted server, at most the proxy.

    Args:
        consumer: May say so by annotation.
        default: The installation's setting, for consumers without the annotation.

    Raises:
        InvalidSpec: The annotation has another value, or asks for the backend of an untrusted server.
    """
    value = read(consumer, ANNOTATION_PATH)
    if value is None:
        return default.without_backend if is_untrusted(consumer) else default
    if isinstance(value, str) and value in _TARGETS:
        target = _TARGETS[value]
        if target.has_backend and is_untrusted(consumer):
            problem = (
                f'{dotted(ANNOTATION_PATH)}: Invalid value: "{target}": ToolHive keeps every credential from an'
                f' untrusted backend: write "{target.without_backend}", or leave the annotation out'
            )
            raise InvalidSpec([problem])
        return target
    supported = ", ".join(f'"{target}"' for target in Target)
    raise InvalidSpec([f"{dotted(ANNOTATION_PATH)}: Unsupported value: {shown(value)}: supported values: {supported}"])
