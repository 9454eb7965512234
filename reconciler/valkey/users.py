"""Asks a Valkey instance for its facts, changes the passwords that it accepts, and closes sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from reconciler.credentials import identities
from reconciler.state.instance_facts import InstanceFacts, facts_from
from reconciler.state.replication_info import info_from
from reconciler.valkey.session import connected
from shared import errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from reconciler.credentials.login import Login
    from reconciler.valkey.session import Execute

_QUESTIONS: Final = (
    ("INFO", "server", "clients", "replication", "persistence", "keyspace"),
    ("CONFIG", "GET", "min-replicas-to-write", "primaryauth"),
    *(("ACL", "GETUSER", identity.user) for identity in identities.IDENTITIES),
)


async def observe(host: str, port: int, login: Login) -> InstanceFacts:
    """Log in to an instance, and ask for its role, its configuration, and the passwords that it accepts.

    Raises:
        StoreUnreachable: There is no connection, no answer in time, or the instance still loads its data.
        StoreRefused: The instance refused the credential.
    """
    async with connected(host, port, login) as session:
        info, config, *users = await session.ask(*_QUESTIONS)
    hashes = {identity.user: _hashes_in(user) for identity, user in zip(identities.IDENTITIES, users, strict=True)}
    return facts_from(info_from(info), hashes, dict(zip(config[::2], config[1::2], strict=True)))


async def ping(host: str, port: int, login: Login) -> None:
    """Prove that a credential works.

    Raises:
        StoreUnreachable: There is no connection, no answer in time, or the instance still loads its data.
        StoreRefused: The instance refused the credential.
    """
    async with connected(host, port, login) as execute:
        await execute("PING")


async def admit(host: str, port: int, login: Login, hashes: Mapping[str, frozenset[str]]) -> None:
    """Have an instance accept further passwords, now and after a restart of its container.

    Raises:
        StoreUnreachable: It is not known whether the instance does.
        StoreRefused: The instance refused the credential.
    """
    async with connected(host, port, login) as execute:
        for user, wanted in hashes.items():
            if missing := sorted(wanted - await _hashes(execute, user)):
                await execute("ACL", "SETUSER", user, *(f"#{digest}" for digest in missing))
        await execute("ACL", "SAVE")
        for user, wanted in hashes.items():
            if not wanted <= await _hashes(execute, user):
                raise errors.StoreUnreachable(f"{host}:{port}: user {user} lacks a password that was just added")


async def retire(host: str, port: int, login: Login, hashes: Mapping[str, str]) -> None:
    """Have an instance refuse passwords, now and after a restart of its container. Open sessions go on.

    Raises:
        StoreUnreachable: It is not known whether the instance does.
        StoreRefused: The instance refused the credential.
    """
    async with connected(host, port, login) as execute:
        for user, digest in hashes.items():
            if digest in await _hashes(execute, user):
                await execute("ACL", "SETUSER", user, f"!{digest}")
        await execute("ACL", "SAVE")
        for user, digest in hashes.items():
            if digest in await _hashes(execute, user):
                raise errors.StoreUnreachable(f"{host}:{port}: user {user} still has a password that was just removed")


async def disconnect(host: str, port: int, login: Login, spared: Collection[str]) -> int:
    """Close the sessions that a client may have opened by a password that was retired before.

    Valkey cannot tell by which password a client opened a session. A session younger than this call's own cannot have
    used a retired password, and a client's number tells its age. Of the older ones, this spares those from an address
    where only the new password is known.

    Args:
        host: Of the instance.
        port: Of the instance.
        login: Of the identity `operator`.
        spared: Addresses of clients that hold the new password.

    Returns:
        How many sessions were closed.

    Raises:
        StoreUnreachable: It is not known whether all are closed.
        StoreRefused: The instance refused the credential.
    """
    closed = 0
    async with connected(host, port, login) as execute:
        own = int(await execute("CLIENT", "ID"))
        for client in clients_from(await execute("CLIENT", "LIST")):
            if client.number < own and client.host not in spared:
                # By filter, so that a session that has ended meanwhile is no error.
                closed += int(await execute("CLIENT", "KILL", "ID", str(client.number)))
    return closed


@dataclass(frozen=True, slots=True)
class Client:
    """A session, as `CLIENT LIST` shows it.

    Attributes:
        number: Valkey numbers clients in the order in which they connect.
        host: Address that it comes from.
    """

    number: int
    host: str


def clients_from(listing: str) -> list[Client]:
    """Read the reply to `CLIENT LIST`."""
    found = []
    for line in listing.splitlines():
        fields = dict(pair.partition("=")[::2] for pair in line.split(" "))
        host, _, _ = fields.get("addr", "").rpartition(":")
        found.append(Client(int(fields["id"]), host.strip("[]")))
    return found


async def _hashes(execute: Execute, user: str) -> frozenset[str]:
    return _hashes_in(await execute("ACL", "GETUSER", user))


def _hashes_in(reply: Sequence[Any] | None) -> frozenset[str]:
    """Read which passwords a user has; none if there is no such user."""
    reply = reply or ()
    fields = dict(zip(reply[::2], reply[1::2], strict=True))
    return frozenset(fields.get("passwords", ()))
