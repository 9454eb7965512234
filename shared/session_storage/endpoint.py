"""Where a store listens, read from a URL. Pure; nothing here repeats a URL, which may hold a password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from shared.errors import InvalidSpec
from shared.names import VALKEY_PORT
from shared.session_storage.validation import URL_HINT, URL_PATTERN

_PROBLEM: Final = f"spec.external.url: Invalid value: {URL_HINT}"
_TLS_SCHEMES: Final = frozenset({"rediss", "valkeys"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One store: its name or address (IPv6 without brackets), and the number of the logical database."""

    host: str
    port: int
    db: int
    is_tls: bool

    @property
    def address(self) -> str:
        """`host:port`, as ToolHive's `spec.sessionStorage.address` has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Read `scheme://host[:port][/db]`.

        Raises:
            InvalidSpec: The URL is of another form.
        """
        if not (isinstance(url, str) and re.fullmatch(URL_PATTERN, url)):
            raise InvalidSpec([_PROBLEM])
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise InvalidSpec([_PROBLEM]) from None
        if not host or port == 0:
            raise InvalidSpec([_PROBLEM])
        return cls(host, port or VALKEY_PORT, int(parts.path.strip("/") or 0), parts.scheme in _TLS_SCHEMES)
