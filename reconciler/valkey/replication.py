"""Commands that change which Valkey instance follows which; each can be repeated."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from reconciler.state.replication_info import PRIMARY, REPLICA, Replication, info_from, replication_from
from reconciler.valkey.session import TIMEOUT_SECONDS, connected
from shared import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from reconciler.credentials.login import Login
    from reconciler.manifests.eviction import Eviction
    from reconciler.state.instance import Instance
    from reconciler.valkey.session import Execute

_log = logging.getLogger(__name__)


class ReplicationSession:
    """The reconciler's session with one instance; its commands go over one connection, in order."""

    def __init__(self, execute: Execute, host: str, port: int) -> None:
        self._execute = execute
        self._host = host
        self._port = port

    async def replication(self) -> Replication:
        """Ask how much history the instance has, of which lineage, and from whom; the answer counts no keys."""
        return replication_from(info_from(await self._execute("INFO", "replication")))

    async def run_id(self) -> str:
        """Ask which server this is; a server has another run ID after each start."""
        return str(info_from(await self._execute("INFO", "server"))["run_id"])

    async def promote(self, lineage: str = "") -> str:
        """Make it a primary; replicas of its former primary can go on with it from where they are.

        Returns:
            The lineage that it has from now on.

        Raises:
            StoreMovedOn: It had another lineage than this one until now.
        """
        await self._redirect({lineage} if lineage else (), "NO", "ONE")
        await self._expect(PRIMARY)
        return (await self.replication()).lineage

    async def follow(self, primary: str, replication: Login, lineages: Collection[str] = ()) -> None:
        """Make it a replica of another instance.

        This closes the clients' sessions of a former primary, because none would leave by itself: they would get errors
        for ever. It also ends a pause, because what a primary sends to a paused replica waits as well. The other
        instance listens on the same port as this one.

        Raises:
            StoreMovedOn: It had another lineage than one of these until now.
        """
        was_primary = (await self._execute("ROLE"))[0] == PRIMARY
        await self.tell_password(replication)
        await self._redirect(lineages, primary, str(self._port))
        await self._expect(REPLICA)
        if was_primary:
            await self.disconnect_clients()
        await self.resume()

    async def fence(self, replicas: int) -> None:
        """Have it take writes, while it is primary, only while at least `replicas` follow it closely."""
        await self._execute("CONFIG SET", "min-replicas-to-write", str(replicas))

    async def evict(self, eviction: Eviction) -> None:
        """Have it remove these keys when its memory is full, while it is primary; a replica removes what that does."""
        await self._execute("CONFIG SET", "maxmemory-policy", str(eviction))

    async def pause(self, seconds: float) -> None:
        """Have clients' writes wait unanswered; reads go on. A later pause can make it longer, and not shorter."""
        await self._execute("CLIENT PAUSE", str(int(seconds * 1000)), "WRITE")

    async def resume(self) -> None:
        """End a pause: the instance carries out the writes that wait, and takes new ones."""
        await self._execute("CLIENT UNPAUSE")

    async def disconnect_clients(self) -> None:
        """Close all sessions but this one, those of replicas, and those that listen to channels.

        A write that waits in a closed session is never carried out.
        """
        await self._execute("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")

    async def tell_password(self, replication: Login) -> None:
        """Have it log in to its primary in this way from the next connection on; a link that it has goes on."""
        await self._execute("CONFIG SET", "primaryuser", replication.user, "primaryauth", replication.password)

    async def _redirect(self, lineages: Collection[str], *upstream: str) -> None:
        """Tell it whom to follow, if it has one of these lineages; none means any."""
        if not lineages:
            await self._execute("REPLICAOF", *upstream)
            return
        self._compare(await self.replication(), lineages)
        await self._execute("MULTI")
        await self._execute("INFO", "replication")
        await self._execute("REPLICAOF", *upstream)
        info, _ = await self._execute("EXEC")
        # It may have got another one since the first look, and Valkey takes no command on a condition.
        self._compare(replication_from(info_from(info)), lineages)

    def _compare(self, found: Replication, lineages: Collection[str]) -> None:
        if found.lineage not in lineages:
            raise errors.StoreMovedOn(f"{self._host} continued another history of writes meanwhile")

    async def _expect(self, role: str) -> None:
        found = await self._execute("ROLE")
        if found[0] != role:
            raise errors.StoreUnreachable(
                f"the reconciler made {self._host} a {role}, but it says that it is {found[0]}"
            )


@contextlib.asynccontextmanager
async def replication_session(
    host: str, port: int, login: Login, dial_seconds: float = TIMEOUT_SECONDS
) -> AsyncIterator[ReplicationSession]:
    """Log in to an instance for as long as the block lasts.

    Raises:
        StoreUnreachable: It is not known whether the instance carried out the last command.
        StoreRefused: The instance refused the credential.
    """
    async with connected(host, port, login, dial_seconds) as execute:
        yield ReplicationSession(execute, host, port)


async def try_to_follow(instance: Instance, primary: str, replication: Login) -> None:
    """Make an instance a replica of the primary at an address, if it takes commands."""
    try:
        async with replication_session(*instance.endpoint) as session:
            await session.follow(primary, replication)
    except errors.SessionStoreError as error:
        # Nothing depends on it: the next pass repairs it.
        extra = {"instance": instance.address, "error": str(error)}
        _log.warning("an instance does not follow the primary yet", extra=extra)
