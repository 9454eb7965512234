"""What the webhook is told by its environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from shared.errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUIRED: Final = ("POD_NAMESPACE", "TLS_SECRET", "WEBHOOK_SERVICE")
_NUMBERS: Final = {"WEBHOOK_PORT": ("9443", 65535), "HTTP_PORT": ("8080", 65535), "DRAIN_SECONDS": ("5", 300)}
"""Default and maximum."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The webhook's settings.

    Attributes:
        namespace: Of the webhook's Service and Secret.
        service: What the API server calls the webhook by, and its certificate must name.
        tls_secret: Secret that holds certificate and key.
        webhook_port: Port of admission reviews.
        http_port: Port of probes and metrics.
        drain_seconds: How long to serve on after SIGTERM: until every API server has learnt that this pod is going.
        log_level: As Python names it.
    """

    namespace: str
    service: str
    tls_secret: str
    webhook_port: int
    http_port: int
    drain_seconds: int
    log_level: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from environment variables.

        Raises:
            InvalidSettings: Variables are missing or malformed; the message lists all of them.
        """
        problems = [f"{name} is not set" for name in _REQUIRED if not environ.get(name)]
        numbers = {}
        for name, (default, maximum) in _NUMBERS.items():
            text = environ.get(name) or default
            if text.isascii() and text.isdigit() and int(text) <= maximum:
                numbers[name] = int(text)
            else:
                problems.append(f"{name} is no number from 0 to {maximum}")
        if problems:
            raise InvalidSettings("; ".join(problems))
        return cls(
            namespace=environ["POD_NAMESPACE"],
            service=environ["WEBHOOK_SERVICE"],
            tls_secret=environ["TLS_SECRET"],
            webhook_port=numbers["WEBHOOK_PORT"],
            http_port=numbers["HTTP_PORT"],
            drain_seconds=numbers["DRAIN_SECONDS"],
            log_level=environ.get("LOG_LEVEL") or "INFO",
        )
