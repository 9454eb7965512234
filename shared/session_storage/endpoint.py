"""Where a store listens, read from a URL. Pure; nothing here repeats a URL, which may hold a password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from shared.errors import InvalidSpec
from shared.names import VALKEY_PORT
from shared.session_storage.allowed_hosts import address_of
from shared.session_storage.validation import URL_HINT, URL_PATTERN

_PROBLEM: Final = f"spec.external.url: Invalid value: {URL_HINT}"
_TLS_SCHEMES: Final = frozenset({"rediss", "valkeys"})
_LOOPBACK: Final = "localhost"
"""RFC 6761, section 6.3: the one name of a single label that means the same everywhere."""


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

    @property
    def url(self) -> str:
        """The URL without user name and password; `of_url` reads the same endpoint from it."""
        return self.url_with("")

    def url_with(self, userinfo: str) -> str:
        """Write the URL.

        Args:
            userinfo: User name and password, percent-encoded, with `@` at the end; empty for none.
        """
        db = f"/{self.db}" if self.db else ""
        return f"{'rediss' if self.is_tls else 'redis'}://{userinfo}{self.address}{db}"

    @classmethod
    def of_url(cls, url: object, namespace: str) -> Self:
        """Read `scheme://host[:port][/db]`.

        Args:
            url: The URL; upper and lower case are the same in scheme and host (RFC 3986, section 6.2.2.1).
            namespace: The storage's namespace. A host of one label is a Service there, as every pod of that namespace
                would read it. Whoever connects may be elsewhere, so that this adds the namespace.

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
        db = int(parts.path.strip("/") or 0)
        return cls(_qualified(host, namespace), port or VALKEY_PORT, db, parts.scheme in _TLS_SCHEMES)


def _qualified(host: str, namespace: str) -> str:
    """Add the namespace to the name of a Service; one with a dot may be a public host, and stays as it is."""
    if "." in host or host == _LOOPBACK or address_of(host) is not None:
        return host
    return f"{host}.{namespace}.svc"
