"""Asks a Valkey instance for its facts, changes the passwords that it accepts, and closes sessions.

Every function takes where the instance is and how to log in. It raises StoreRefused if the instance refuses the
credential, and StoreUnreachable if there is no connection, no answer in time, or the instance still loads its data:
then nobody knows whether the instance did what it was told.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconciler.credentials import identities
from reconciler.state.instance import InstanceFacts, facts_from
from reconciler.state.replication_info import PRIMARY, info_from
from reconciler.valkey.session import connected
from shared import errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from reconciler.credentials.login import Login
    from reconciler.valkey.session import Execute, Session

_STATE: Final = (
    ("INFO", "server", "clients", "memory", "replication", "persistence", "stats", "commandstats", "keyspace"),
    ("CONFIG", "GET", "min-replicas-to-write", "primaryauth", "maxmemory-policy"),
)
_PASSWORDS: Final = tuple(("ACL", "GETUSER", identity.user) for identity in identities.IDENTITIES)
_CHANGES_OF_USERS: Final = ("acl|setuser", "acl|deluser", "acl|load", "config|set", "config|resetstat")
"""The commands that change who may log in, `CONFIG SET requirepass` among them, and the one that counts all commands
from zero again (`INFO commandstats`, which counts them in scripts and transactions as well)."""
_NOT_THIS_KIND: Final = frozenset({"NOTBUSY", "BUSY"})
"""How Valkey answers if what runs is no script, or no function, or nothing runs any more."""


async def observe(host: str, port: int, login: Login) -> InstanceFacts:
    """Log in to an instance, and ask for its role, its configuration, and the passwords that it accepts."""
    async with connected(host, port, login) as session:
        return (await ask_all(session)).facts


class Answers(NamedTuple):
    """What an instance says.

    Attributes:
        facts: What its server says.
        acl_revision: Changes with whatever changes the passwords that it accepts, and with each start of the server.
    """

    facts: InstanceFacts
    acl_revision: tuple[str, ...]


async def ask_all(session: Session) -> Answers:
    """Ask an instance for its role, its configuration, and the passwords that it accepts."""
    # INFO comes first: what changes passwords after it moves the revision at the next look.
    info, config, *users = await session.ask(*_STATE, *_PASSWORDS)
    hashes = {identity.user: _hashes_in(user) for identity, user in zip(identities.IDENTITIES, users, strict=True)}
    return _answers(info, config, hashes)


async def ask_again(session: Session, hashes: Mapping[str, frozenset[str]] | None) -> Answers:
    """Ask an instance for all but the passwords, which are those that it named before while the revision stays."""
    info, config = await session.ask(*_STATE)
    return _answers(info, config, hashes)


async def takes_writes(session: Session, fence: int) -> bool:
    """Ask an instance whether it takes writes.

    While it cannot write to its disk, Valkey refuses a PING as it refuses writes (`processCommand` in its server.c). A
    PING does not show that it has too few replicas.

    Args:
        session: The session to ask over; a refusal leaves it open.
        fence: How many replicas the instance needs to take writes.
    """
    try:
        _, info = await session.ask(("PING",), ("INFO", "replication"))
    except (errors.StoreErred, errors.StoreRefused):
        return False
    said = info_from(info)
    # Without a fence Valkey does not count good replicas.
    return said.get("role") == PRIMARY and int(said.get("min_slaves_good_slaves", 0)) >= fence


def _answers(info: str, config: Sequence[str], hashes: Mapping[str, frozenset[str]] | None) -> Answers:
    said = info_from(info)
    calls = (str(said.get(f"cmdstat_{command}", "")).partition(",")[0] for command in _CHANGES_OF_USERS)
    facts = facts_from(said, hashes, dict(zip(config[::2], config[1::2], strict=True)))
    return Answers(facts, (str(said.get("run_id", "")), *calls))


async def ping(host: str, port: int, login: Login) -> None:
    """Prove that a credential works."""
    async with connected(host, port, login) as execute:
        await execute("PING")


async def end_script(host: str, port: int, login: Login) -> bool:
    """End the script that keeps an instance busy.

    Returns:
        Whether no script runs from now on; one that has written already cannot be ended.
    """
    async with connected(host, port, login) as execute:
        for kind in ("SCRIPT", "FUNCTION"):
            try:
                await execute(kind, "KILL")
            except errors.StoreErred as error:
                if error.kind == "UNKILLABLE":
                    return False
                if error.kind not in _NOT_THIS_KIND:
                    raise
            else:
                return True
    return True


async def restart(host: str, port: int, login: Login) -> None:
    """End the server of an instance, also one that a script keeps busy; its container starts it again.

    `NOSAVE` concerns snapshots alone: the server writes the rest of its append-only file. Valkey lets nothing else end
    a script that has written (`SCRIPT KILL`, Valkey's command reference).
    """
    async with connected(host, port, login) as execute:
        with contextlib.suppress(errors.StoreHungUp):  # a server that ends does not answer
            await execute("SHUTDOWN", "NOSAVE", "NOW")


async def admit(host: str, port: int, login: Login, hashes: Mapping[str, frozenset[str]]) -> None:
    """Have an instance accept further passwords, now and after a restart of its container."""
    async with connected(host, port, login) as execute:
        for user, wanted in hashes.items():
            if missing := sorted(wanted - await _hashes(execute, user)):
                await execute("ACL", "SETUSER", user, *(f"#{digest}" for digest in missing))
        await execute("ACL", "SAVE")
        for user, wanted in hashes.items():
            if not wanted <= await _hashes(execute, user):
                raise errors.StoreUnreachable(f"{host}:{port}: user {user} lacks a password that was just added")


async def save(host: str, port: int, login: Login) -> None:
    """Have an instance write its ACL file anew, as it is.

    An instance that is told to stop takes this as a request to go on: no other file can `operator` have it write.
    """
    async with connected(host, port, login) as execute:
        await execute("ACL", "SAVE")


async def retire(host: str, port: int, login: Login, hashes: Mapping[str, str]) -> None:
    """Have an instance refuse passwords, now and after a restart of its container. Open sessions go on."""
    async with connected(host, port, login) as execute:
        for user, digest in hashes.items():
            if digest in await _hashes(execute, user):
                await execute("ACL", "SETUSER", user, f"!{digest}")
        await execute("ACL", "SAVE")
        for user, digest in hashes.items():
            if digest in await _hashes(execute, user):
                raise errors.StoreUnreachable(f"{host}:{port}: user {user} still has a password that was just removed")


async def disconnect(host: str, port: int, login: Login, spared: Collection[str]) -> int:
    """Close the sessions that a client may have opened with a retired password.

    Valkey cannot tell with which password a client opened a session. A session younger than this call's own cannot have
    used a retired password, and a client's number tells its age. Of the older ones, this spares those from an address
    where only the new password is known. Returns how many sessions were closed.
    """
    closed = 0
    async with connected(host, port, login) as execute:
        own = int(await execute("CLIENT", "ID"))
        for line in (await execute("CLIENT", "LIST")).splitlines():
            fields = dict(pair.partition("=")[::2] for pair in line.split(" "))
            client, (address, _, _) = fields["id"], fields.get("addr", "").rpartition(":")
            # Valkey numbers clients in the order in which they connect.
            if int(client) < own and address.strip("[]") not in spared:
                # By filter, so that a session that has ended meanwhile is no error.
                closed += int(await execute("CLIENT", "KILL", "ID", client))
    return closed


async def _hashes(execute: Execute, user: str) -> frozenset[str]:
    return _hashes_in(await execute("ACL", "GETUSER", user))


def _hashes_in(reply: Sequence[Any] | None) -> frozenset[str]:
    """Read which passwords a user has; none if there is no such user."""
    reply = reply or ()
    fields = dict(zip(reply[::2], reply[1::2], strict=True))
    return frozenset(fields.get("passwords", ()))
