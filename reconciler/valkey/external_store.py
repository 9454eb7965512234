"""Dials users' own stores as consumers would, and returns the result as data.

Nobody vouches for what answers there, nor for the names that users write. So every look has a deadline, and bounds on
all that others decide: addresses, bytes, look-ups. How many dials there are at a time is up to the caller's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import socket
import ssl
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final, TypeAlias

import libvalkey

from reconciler.state.external_store import DialResult, Outcome
from reconciler.valkey.bounded_replies import MAX_BYTES, BoundedReplies, NotRedisError
from reconciler.valkey.external_answers import NOT_REDIS, Probe
from reconciler.valkey.lookups import Lookups
from shared import errors, tls
from shared.session_storage.allowed_hosts import AllowedHosts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.credentials.login import Credentials
    from shared.session_storage.allowed_hosts import Address
    from shared.session_storage.endpoint import Endpoint

Dial: TypeAlias = "Callable[[str, Endpoint, Credentials, float], Awaitable[DialResult]]"

DIAL_SECONDS: Final = 5.0
"""For look-up, connection, certificates and answers together: ToolHive's proxies wait 3 s for each answer
(toolhive-core `redisconn`), and a store in reach needs a few milliseconds for all."""
MAX_ADDRESSES: Final = 8
"""How many addresses of one name are tried; each gets its share of the time that is left."""
MAX_CA_BYTES: Final = 64 * 1024
"""Of `ca.crt`: about forty certificates. To read a Secret's whole MiB of them would hold all others up for a while."""
_CONTEXTS: Final = 16
"""How many contexts stay in memory; the one of the system's roots, which takes 10 ms to make, is used most."""

_NO_SUCH_NAME: Final = DialResult(Outcome.DNS, "its name is not known here")
_TIMEOUT: Final = DialResult(Outcome.TIMEOUT, f"no answer within {DIAL_SECONDS:.0f} s")
_NO_CERTIFICATE: Final = DialResult(Outcome.TLS, "ca.crt in the Secret is no certificate in PEM form")
_NO_TLS: Final = DialResult(
    Outcome.TLS,
    "what answers there does not speak TLS, and a port without TLS needs redis:// or valkey://, or in a Secret without"
    " a URL the key tls with false",
)
_OTHER_HOST: Final = frozenset({62, 64})
"""OpenSSL's `X509_V_ERR_HOSTNAME_MISMATCH` and `X509_V_ERR_IP_ADDRESS_MISMATCH`, whose words repeat the host."""
_CA_TOO_LONG: Final = DialResult(
    Outcome.TLS, f"ca.crt in the Secret is longer than {MAX_CA_BYTES // 1024} KiB: keep only what signs this store"
)
_PRECEDENCE: Final = (Outcome.UNUSABLE, Outcome.TIMEOUT, Outcome.REFUSED)
"""Of several addresses that fail, the last of these is told, whatever their order: DNS servers shuffle."""


@dataclass(frozen=True, slots=True)
class ExternalStores:
    """Dials stores that users name.

    Attributes:
        allowed: Where it may connect.
    """

    allowed: AllowedHosts = field(default_factory=AllowedHosts)
    lookups: Lookups = field(default_factory=Lookups)

    async def dial(self, namespace: str, endpoint: Endpoint, login: Credentials, deadline: float) -> DialResult:
        """Resolve, connect, verify, log in, write a key and read it back.

        Args:
            namespace: The namespace of the storage; each has its own share of look-ups.
            endpoint: Where the store is.
            login: How to log in.
            deadline: When to give up, by the event loop's clock.
        """
        if problem := self.allowed.problem_of_host(endpoint.host):
            return DialResult(Outcome.NOT_ALLOWED, f"it {problem}")
        try:
            async with asyncio.timeout_at(deadline):
                found = await self.lookups.addresses(namespace, endpoint.host)
                allowed = await self._knowing_api_server()
        except (errors.NameNotFound, TimeoutError):
            return _NO_SUCH_NAME
        if problem := allowed.problem_of_addresses(endpoint.host, found):
            return DialResult(Outcome.NOT_ALLOWED, f"it {problem}")
        addresses = allowed.usable(endpoint.host, found)[:MAX_ADDRESSES]
        try:
            async with asyncio.timeout_at(deadline):
                return await _dial(addresses, endpoint, login, deadline)
        except TimeoutError:
            return _TIMEOUT

    async def _knowing_api_server(self) -> AllowedHosts:
        """Add the addresses of the API server, if it has a name, as in clusters whose pods are given one."""
        names = self.allowed.api_server_names
        found = [await self.lookups.addresses("", name) for name in names]
        return self.allowed.without_api_server(address for addresses in found for address in addresses)


async def _dial(addresses: tuple[Address, ...], endpoint: Endpoint, login: Credentials, deadline: float) -> DialResult:
    connection = await _connect(addresses, endpoint.port, deadline)
    if isinstance(connection, DialResult):
        return connection
    try:
        context = _context(login.ca) if endpoint.is_tls or login.ca else None
        if isinstance(context, DialResult):
            return context
        probe = Probe(login, endpoint.db, secrets.token_hex(8), secrets.token_hex(8))
        return await _ask(connection, context if endpoint.is_tls else None, endpoint.host, probe)
    finally:
        connection.close()


async def _connect(addresses: tuple[Address, ...], port: int, deadline: float) -> socket.socket | DialResult:
    """Connect to the first address that answers, or say why none does."""
    loop, failed = asyncio.get_running_loop(), set[DialResult]()
    for index, address in enumerate(addresses):
        share = (deadline - loop.time()) / (len(addresses) - index)
        connected = await _connect_one(address, port, share)
        if isinstance(connected, socket.socket):
            return connected
        failed.add(connected)
    return max(failed, key=lambda each: (_PRECEDENCE.index(each.outcome), each.detail))


async def _connect_one(address: Address, port: int, seconds: float) -> socket.socket | DialResult:
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            connection.settimeout(0)
            # What the kernel keeps of an answer that nobody reads; it counts as this pod's memory.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MAX_BYTES)
            async with asyncio.timeout(seconds):
                await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
        except TimeoutError:
            return _TIMEOUT
        except ConnectionRefusedError:
            return DialResult(Outcome.REFUSED, "nothing listens there")
        except OSError as error:
            return DialResult(Outcome.UNUSABLE, f"no connection: {error.strerror or type(error).__name__}")
        stack.pop_all()
        return connection


def _context(ca: str) -> ssl.SSLContext | DialResult:
    if len(ca) > MAX_CA_BYTES:
        return _CA_TOO_LONG
    try:
        return _made_context(ca)
    except (ssl.SSLError, ValueError):
        return _NO_CERTIFICATE


@functools.lru_cache(maxsize=_CONTEXTS)
def _made_context(ca: str) -> ssl.SSLContext:
    return tls.client_context(cadata=ca or None)


class _Answers(asyncio.Protocol):
    """The answers that come by a connection; `done` is set when all have come, or no more can."""

    def __init__(self, expected: int) -> None:
        self.replies = BoundedReplies()
        self.is_redis = True
        self.done = asyncio.Event()
        self._expected = expected

    def data_received(self, data: bytes) -> None:
        if self.done.is_set():
            return
        try:
            self.replies.feed(data)
        except NotRedisError:
            self.is_redis = False
        if not self.is_redis or len(self.replies.complete) >= self._expected:
            self.done.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # an answer that is missing is missing either way
        self.done.set()


async def _ask(connection: socket.socket, context: ssl.SSLContext | None, host: str, probe: Probe) -> DialResult:
    commands = probe.commands
    answers = _Answers(len(commands))
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: answers, sock=connection, ssl=context, server_hostname=host if context is not None else None
        )
    except ssl.SSLCertVerificationError as error:
        is_other = error.verify_code in _OTHER_HOST
        return DialResult(Outcome.TLS, "its certificate is for another host" if is_other else error.verify_message)
    except OSError:
        return _NO_TLS
    try:
        transport.write(b"".join(map(libvalkey.pack_command, commands)))
        await answers.done.wait()
    finally:
        transport.abort()
    return probe.judge(answers.replies.complete) if answers.is_redis else NOT_REDIS
