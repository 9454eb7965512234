"""Dials a user's own store as consumers would, and returns the result as data."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

import valkey.asyncio
from valkey import exceptions
from valkey.asyncio.connection import ConnectionPool, SSLConnection
from valkey.asyncio.retry import Retry
from valkey.backoff import NoBackoff

from reconciler.state.external_store import DialResult, Outcome
from shared import tls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.credentials.login import Credentials
    from shared.session_storage.endpoint import Endpoint

STEP_SECONDS: Final = 3.0
"""For each lookup, connection and answer: ToolHive's proxies wait 3 s for an answer (toolhive-core `redisconn`)."""
PROBE_PREFIX: Final = "thv:session-storage:probe:"
PROBE_SECONDS: Final = 10
"""How long the written key lives, so that nobody has to delete it."""


async def dial(endpoint: Endpoint, login: Credentials) -> DialResult:
    """Resolve, connect, verify, log in, PING, write a key and read it back."""
    try:
        async with asyncio.timeout(STEP_SECONDS):
            addresses = await asyncio.get_running_loop().getaddrinfo(
                endpoint.host, endpoint.port, type=socket.SOCK_STREAM
            )
    except (OSError, UnicodeError) as error:
        return DialResult(Outcome.DNS, f"the name {endpoint.host} is not known here ({type(error).__name__})")
    if unreachable := await _reach(addresses):
        return unreachable
    try:
        verifying = tls.client_context(cadata=login.ca) if endpoint.is_tls or login.ca else None
    except (ssl.SSLError, ValueError):
        return DialResult(Outcome.TLS, "ca.crt in the Secret is no certificate in PEM form")
    return await _probe(_client(endpoint, login, verifying if endpoint.is_tls else None))


async def _reach(addresses: list[Any]) -> DialResult | None:
    """Connect to one of the addresses; say why none can be reached."""
    found = DialResult(Outcome.UNUSABLE, "no address")
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(0)
        try:
            async with asyncio.timeout(STEP_SECONDS):
                await asyncio.get_running_loop().sock_connect(connection, address)
        except TimeoutError:
            found = DialResult(Outcome.TIMEOUT, f"no connection within {STEP_SECONDS:.0f} s")
        except ConnectionRefusedError:
            found = DialResult(Outcome.REFUSED, "nothing listens there")
        except OSError as error:
            found = DialResult(Outcome.UNUSABLE, f"no connection: {error.strerror or type(error).__name__}")
        else:
            return None
        finally:
            connection.close()
    return found


class _Verifying(SSLConnection):
    """A connection of the client library with a context of ours, for which the library has no parameter."""

    def __init__(self, verifying: ssl.SSLContext, **settings: Any) -> None:
        super().__init__(**settings)
        self.ssl_context.context = verifying


def _client(endpoint: Endpoint, login: Credentials, verifying: ssl.SSLContext | None) -> valkey.asyncio.Valkey:
    over_tls: dict[str, Any] = {"connection_class": _Verifying, "verifying": verifying} if verifying else {}
    pool = ConnectionPool(
        host=endpoint.host,
        port=endpoint.port,
        db=endpoint.db,
        username=login.username or None,
        password=login.password or None,
        socket_timeout=STEP_SECONDS,
        socket_connect_timeout=STEP_SECONDS,
        retry=Retry(NoBackoff(), 0),
        lib_name=None,
        lib_version=None,
        decode_responses=True,
        **over_tls,
    )
    return valkey.asyncio.Valkey.from_pool(pool)


async def _probe(client: valkey.asyncio.Valkey) -> DialResult:
    execute: Callable[..., Awaitable[Any]] = client.execute_command  # carries no annotations
    key, value = f"{PROBE_PREFIX}{secrets.token_hex(8)}", secrets.token_hex(8)
    try:
        await execute("PING")
        await execute("SET", key, value, "EX", PROBE_SECONDS)
        if await execute("GET", key) != value:
            return DialResult(Outcome.UNUSABLE, "a key that was written cannot be read back")
    except (exceptions.ValkeyError, OSError, TimeoutError) as error:
        return dial_result_of(error)
    finally:
        await client.aclose()
    return DialResult(Outcome.OK)


_MEANINGS: Final[tuple[tuple[tuple[type[BaseException], ...], Outcome, str], ...]] = (
    ((exceptions.AuthenticationError,), Outcome.AUTH, "the user name or password is wrong, missing or superfluous"),
    ((exceptions.NoPermissionError,), Outcome.AUTH, "the user lacks the right to PING, SELECT, SET or GET"),
    ((exceptions.ReadOnlyError,), Outcome.READ_ONLY, "it is a replica, or takes no writes"),
    ((exceptions.TimeoutError, TimeoutError), Outcome.TIMEOUT, f"no answer within {STEP_SECONDS:.0f} s"),
    ((exceptions.BusyLoadingError,), Outcome.UNUSABLE, "it is still reading its data"),
)
"""What an error means; the first line that fits counts."""


def dial_result_of(error: BaseException) -> DialResult:
    """Tell what an error of the client means; this leaves out its text, which may quote what was sent."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    if tls := next((each for each in chain if isinstance(each, ssl.SSLError)), None):
        return DialResult(Outcome.TLS, getattr(tls, "verify_message", "") or str(tls.reason or type(tls).__name__))
    for kinds, outcome, detail in _MEANINGS:
        if any(isinstance(each, kinds) for each in chain):
            return DialResult(outcome, detail)
    if isinstance(error, exceptions.ResponseError):
        return DialResult(Outcome.UNUSABLE, f"it answers with the error {str(error).partition(' ')[0][:32]}")
    detail = "it closes the connection: a port that speaks TLS needs rediss:// or valkeys://"
    return DialResult(Outcome.UNUSABLE, detail)
