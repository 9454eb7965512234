"""The edge to one Valkey node, and the only module that imports the Valkey client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import valkey.asyncio
from valkey import exceptions
from valkey.asyncio.retry import Retry
from valkey.backoff import NoBackoff

from shared import errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

DIAL_TIMEOUT_SECONDS: Final = 1.0
"""A node in the same cluster answers within a millisecond; who waits longer learns nothing new."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user and its password; the password stays out of every text made from it."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r})"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node says of itself.

    Attributes:
        role: `master` or `slave`, in Valkey's words.
        server_version: Such as `9.1.2`.
        is_loading: Whether it still reads its data from disk.
    """

    role: str
    server_version: str
    is_loading: bool


async def observe(host: str, port: int, login: Login) -> NodeFacts:
    """Log in to a node and ask for its role.

    Raises:
        StoreUnreachable: No connection, no answer in time, or still loading.
        StoreRefused: The credential was refused.
    """
    info = await _ask(host, port, login, "INFO", "server", "replication", "persistence")
    return facts_from(info)


async def ping(host: str, port: int, login: Login) -> None:
    """Prove that a credential works.

    Raises:
        StoreUnreachable: No connection, no answer in time, or still loading.
        StoreRefused: The credential was refused.
    """
    await _ask(host, port, login, "PING")


def facts_from(info: Mapping[str, Any]) -> NodeFacts:
    """Pick the facts out of an INFO reply."""
    return NodeFacts(
        role=str(info.get("role", "")),
        server_version=str(info.get("valkey_version") or info.get("redis_version", "")),
        is_loading=bool(int(info.get("loading", 0))),
    )


async def _ask(host: str, port: int, login: Login, *command: str) -> Any:
    # One fresh connection: what is asked is whether a login works now, not whether an old one still lives.
    client = valkey.asyncio.Valkey(
        host=host,
        port=port,
        username=login.user,
        password=login.password,
        socket_timeout=DIAL_TIMEOUT_SECONDS,
        socket_connect_timeout=DIAL_TIMEOUT_SECONDS,
        single_connection_client=True,
        retry=Retry(NoBackoff(), 0),
        lib_name=None,
        lib_version=None,
        decode_responses=True,
    )
    execute: Callable[..., Awaitable[Any]] = client.execute_command  # carries no annotations
    where = f"{host}:{port} as {login.user}"
    try:
        return await execute(*command)
    except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
        # Without the cause: a client library may quote the command that was refused.
        raise errors.StoreRefused(f"{where}: {type(error).__name__}") from None
    except (exceptions.ValkeyError, OSError, TimeoutError) as error:
        raise errors.StoreUnreachable(f"{where}: {type(error).__name__}: {error}") from error
    finally:
        await client.aclose()
