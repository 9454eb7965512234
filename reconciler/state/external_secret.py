"""What a user's Secret says of an external store: where it is, and how to log in. Pure.

People, charts and cloud operators write such Secrets, each with keys of their own. This module knows the usual ones.
Nothing in this module repeats a value: who mixes the keys up has the password where the host should be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from reconciler.credentials import identities
from reconciler.credentials.login import Credentials
from shared import names
from shared.errors import InvalidSecret, InvalidSpec
from shared.session_storage import secret_reference as usual
from shared.session_storage.allowed_hosts import address_of
from shared.session_storage.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.objects.resources import Object
    from shared.session_storage.models import External
    from shared.session_storage.secret_reference import SecretReference

DEFAULT_USER: Final = "default"
"""Hosted stores hand it out as if it were a user name of its own."""

_PORT: Final = re.compile("[0-9]{1,5}", re.ASCII)
_LAST_PORT: Final = 65535
_WITH_PORT: Final = re.compile(r"([^:]+|\[.*\]):[0-9]+")
_IS_TLS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_URL: Final = re.compile(r"(?P<scheme>[^:/@]+://)(?:(?P<userinfo>.*)@)?(?P<rest>[^@]*)", re.DOTALL)
"""A password may hold `/` or `@` that somebody forgot to encode: the last `@` ends it."""


@dataclass(frozen=True, slots=True)
class ExternalConnection:
    """Where a store is, and how to log in; its `repr` shows nothing of what may come out of a Secret."""

    endpoint: Endpoint = field(repr=False)
    login: Credentials = field(default_factory=Credentials)


@dataclass(frozen=True, slots=True)
class SecretProblem:
    """Why a Secret does not say how to connect.

    Attributes:
        reason: Reason of the condition `Ready`.
        message: The same as a sentence, with the next step.
    """

    reason: str
    message: str


def connection_of_user(external: External, namespace: str, secret: Object | None) -> ExternalConnection | SecretProblem:
    """Read what the user says of a store: where it is, by the spec or else by the Secret, and how to log in.

    Args:
        external: What the spec says.
        namespace: The storage's.
        secret: The Secret that the spec names; None if it names none, or there is none of that name.
    """
    if external.secret_ref is None:
        return ExternalConnection(Endpoint.of_url(external.url, namespace))
    if secret is None:
        name, key = external.secret_ref.name, external.secret_ref.password_key or names.KEY_PASSWORD
        message = f"Secret {name} does not exist: create it in this namespace with the key {key}"
        return SecretProblem("SecretNotFound", message if external.url else f"{message} and the host, or with url")
    content = _Content(external.secret_ref, identities.decoded(secret.get("data")))
    try:
        where = content.place(namespace) if external.url is None else _Place(Endpoint.of_url(external.url, namespace))
        return ExternalConnection(where.endpoint, content.login(where))
    except InvalidSecret as error:
        return SecretProblem(error.reason, str(error))


def connection_of_consumers(namespace: str, connection: Object) -> ExternalConnection | None:
    """Read how consumers connect; None if the connection Secret has lost it.

    The spec does not count: it may have changed since, to a store that nobody has dialled yet.

    Args:
        namespace: The storage's.
        connection: The connection Secret.
    """
    values = identities.decoded(connection.get("data"))
    login = _credentials(values.get(names.KEY_REDIS_USERNAME, ""), values.get(names.KEY_REDIS_PASSWORD, ""), values)
    try:
        return ExternalConnection(_Place.of_url(values.get(names.KEY_REDIS_URL, ""), namespace).endpoint, login)
    except InvalidSpec:
        return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a store is, and the login that a URL brought along."""

    endpoint: Endpoint
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def of_url(cls, url: str, namespace: str) -> _Place:
        """Read a URL with user name and password, or without.

        Raises:
            InvalidSpec: It is no URL of a store.
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise InvalidSpec(["a Secret holds no URL of a store"])
        username, _, password = (found["userinfo"] or "").partition(":")
        return cls(Endpoint.of_url(found["scheme"] + found["rest"], namespace), unquote(username), unquote(password))


@dataclass(frozen=True, slots=True)
class _Content:
    """A Secret's values, and how the user names their keys."""

    reference: SecretReference
    values: Mapping[str, str] = field(repr=False)

    def place(self, namespace: str) -> _Place:
        """Read where the store is.

        Raises:
            InvalidSecret: The Secret does not say it.
        """
        key, url = self._find(self.reference.url_key, usual.URL_KEYS)
        if url:
            try:
                return _Place.of_url(url, namespace)
            except InvalidSpec:
                raise self._invalid(key, "a URL such as rediss://host:port, without a query") from None
        key, host = self._find(self.reference.host_key, usual.HOST_KEYS)
        if not host:
            raise self._missing(key, "it, or url, or set spec.external.url")
        return _Place(self._endpoint(key, host, namespace))

    def login(self, where: _Place) -> Credentials:
        """Read how to log in; keys of their own come before what the URL has.

        Raises:
            InvalidSecret: The Secret has no password.
        """
        key, password = self._find(self.reference.password_key, usual.PASSWORD_KEYS)
        _, username = self._find(self.reference.username_key, usual.USERNAME_KEYS)
        if not (password or where.password):
            raise self._missing(key, "it, or name another key in spec.external.secretRef.passwordKey")
        ca_key, _ = self._find(self.reference.ca_key, usual.CA_KEYS)
        ca = self.values.get(ca_key, "")
        return Credentials(_plain(username or where.username), password or where.password, ca)

    def _endpoint(self, key: str, host: str, namespace: str) -> Endpoint:
        """Put the parts together; a host may have its port with it."""
        is_tls = self._is_tls()
        port_key, port = self._find(self.reference.port_key, usual.TLS_PORT_KEYS if is_tls else usual.PORT_KEYS)
        if port and not (_PORT.fullmatch(port) and 0 < int(port) <= _LAST_PORT):
            raise self._invalid(port_key, f"a port between 1 and {_LAST_PORT}")
        if address_of(host) is not None and ":" in host:
            host = f"[{host}]"
        suffix = f":{port}" if port and not _WITH_PORT.fullmatch(host) else ""
        try:
            # The slash at the end refuses a host with a path.
            return Endpoint.of_url(f"{'rediss' if is_tls else 'redis'}://{host}{suffix}/", namespace)
        except InvalidSpec:
            raise self._invalid(key, "the name or address of a host") from None

    def _is_tls(self) -> bool:
        """Tell whether to speak TLS: yes, unless the Secret says no. No password goes out in plain text by chance."""
        key, text = self._find(self.reference.tls_key, usual.TLS_KEYS)
        is_tls = _IS_TLS.get(text.lower()) if text else True
        if is_tls is None:
            raise self._invalid(key, "true or false")
        return is_tls

    def _find(self, stated: str | None, usual: tuple[str, ...]) -> tuple[str, str]:
        """Look a value up, without the line break that `echo` leaves at its end; return the key that counts, too.

        The value is empty if there is none under the key that the user names or, without that, under a usual one.
        """
        for key in (stated,) if stated is not None else usual:
            if value := self.values.get(key, "").rstrip("\r\n"):
                return key, value
        return stated or usual[0], ""

    def _missing(self, key: str, what: str) -> InvalidSecret:
        return InvalidSecret("SecretKeyMissing", f"Secret {self.reference.name} has no readable key {key}: add {what}")

    def _invalid(self, key: str, what: str) -> InvalidSecret:
        return InvalidSecret("SecretKeyInvalid", f"the key {key} of Secret {self.reference.name} does not hold {what}")


def _credentials(username: str, password: str, values: Mapping[str, str]) -> Credentials:
    return Credentials(_plain(username), password, values.get(names.KEY_CA, ""))


def _plain(username: str) -> str:
    """Leave out the user name `default`, which a password alone means: ToolHive's proxies can send no user name."""
    return "" if username == DEFAULT_USER else username
