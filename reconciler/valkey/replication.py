"""Commands that change who follows whom among the Valkey instances of a storage; all can be repeated."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from reconciler.state.replication_info import PRIMARY, REPLICA, Replication, info_from, replication_from
from reconciler.valkey.session import TIMEOUT_SECONDS, connected
from shared import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from reconciler.credentials.login import Login
    from reconciler.valkey.session import Execute


class ReplicationSession:
    """An instance that the operator is logged in to; what is told to it goes over one connection, in order."""

    def __init__(self, execute: Execute, host: str, port: int) -> None:
        self._execute = execute
        self._host = host
        self._port = port

    async def replication(self) -> Replication:
        """Ask how much history it has, of which lineage, and from whom; it is not asked for its keys."""
        return replication_from(info_from(await self._execute("INFO", "replication")))

    async def run_id(self) -> str:
        """Ask which server it is; another one after each start."""
        return str(info_from(await self._execute("INFO", "server"))["run_id"])

    async def promote(self) -> None:
        """Make it a primary; those that followed the same one before can go on with it from where they are."""
        await self._execute("REPLICAOF", "NO", "ONE")
        await self._expect(PRIMARY)

    async def follow(self, primary: str, replication: Login) -> None:
        """Make it a replica of another instance.

        Clients of one that was primary are sent away, because none would leave by itself: they would get errors for
        ever. And nothing may wait any more, because what a primary sends to a paused replica waits as well.

        Args:
            primary: Host to follow, at the instance's own port.
            replication: How it logs in there.
        """
        was_primary = (await self._execute("ROLE"))[0] == PRIMARY
        await self._execute("CONFIG SET", "primaryuser", replication.user, "primaryauth", replication.password)
        await self._execute("REPLICAOF", primary, str(self._port))
        await self._expect(REPLICA)
        if was_primary:
            await self.send_clients_away()
        await self.resume()

    async def fence(self, replicas: int) -> None:
        """Have it take writes, while it is primary, only as long as so many replicas follow it closely."""
        await self._execute("CONFIG SET", "min-replicas-to-write", str(replicas))

    async def pause(self, seconds: float) -> None:
        """Have clients' writes wait unanswered; reads go on. A pause can be made longer, and not shorter."""
        await self._execute("CLIENT PAUSE", str(int(seconds * 1000)), "WRITE")

    async def resume(self) -> None:
        """Have writes that wait, and all that come, be taken again."""
        await self._execute("CLIENT UNPAUSE")

    async def send_clients_away(self) -> None:
        """Close all sessions but those of replicas and of those who listen to channels, and this one.

        A write that waits in one of them is never carried out.
        """
        await self._execute("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")

    async def relogin(self, replication: Login) -> None:
        """Have a replica log in to its primary anew, by another password; it goes on from where it is.

        Both in one transaction: after a crash in between, nobody could tell by which password the link was opened.
        """
        await self._execute("MULTI")
        await self._execute("CONFIG SET", "primaryuser", replication.user, "primaryauth", replication.password)
        await self._execute("CLIENT KILL", "TYPE", "primary")
        await self._execute("EXEC")

    async def _expect(self, role: str) -> None:
        found = await self._execute("ROLE")
        if found[0] != role:
            raise errors.StoreUnreachable(f"{self._host} was told to be {role}, and is {found[0]}")


@contextlib.asynccontextmanager
async def told(
    host: str, port: int, login: Login, dial_seconds: float = TIMEOUT_SECONDS
) -> AsyncIterator[ReplicationSession]:
    """Log in to an instance, to tell it things as long as the block lasts.

    Args:
        host: Of the instance.
        port: Of the instance.
        login: By which it lets us in.
        dial_seconds: How long a connection may take to stand.

    Raises:
        StoreUnreachable: It is not known whether it did what it was told last.
        StoreRefused: The credential was refused.
    """
    async with connected(host, port, login, dial_seconds) as execute:
        yield ReplicationSession(execute, host, port)
