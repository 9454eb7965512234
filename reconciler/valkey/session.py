"""The edge to one Valkey instance: a connection that is logged in. Replies are as the server gives them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import libvalkey

from shared import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from reconciler.credentials.login import Login

    Execute: TypeAlias = Callable[..., Awaitable[Any]]

TIMEOUT_SECONDS: Final = 1.0
"""For a connection, and for each answer. An instance in the same cluster takes a millisecond; who waits longer learns
nothing new."""
_DENIED: Final = frozenset({"WRONGPASS", "NOAUTH", "NOPERM"})


class _Line(asyncio.Protocol):
    """A connection, and the replies that have come by it.

    The client library reads each element of a reply by a coroutine of its own; of the hundred that a look at an
    instance takes, that made most of its cost. Its parser alone does not.

    Attributes:
        is_closed: Whether nothing more can come, or be sent.
    """

    def __init__(self) -> None:
        self._reader = libvalkey.Reader(encoding="utf-8", errors="replace")
        self._news = asyncio.Event()
        self.is_closed = False

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # a reply that is missing is missing either way
        self.is_closed = True
        self._news.set()

    async def take(self, count: int) -> list[Any]:
        """Wait for so many replies.

        Raises:
            ConnectionError: They will not come any more.
            libvalkey.ProtocolError: What comes is not Valkey's protocol.
        """
        replies = list[Any]()
        while len(replies) < count:
            # RESP2 has no booleans: this one means that none is whole yet.
            if (reply := self._reader.gets()) is not False:
                replies.append(reply)
                continue
            if self.is_closed:
                raise ConnectionError("the connection was closed")
            self._news.clear()
            await self._news.wait()
        return replies


class Session:
    """A connection with an instance. It is made when something is asked, and made anew after a failure."""

    def __init__(self, host: str, port: int, login: Login, dial_seconds: float = TIMEOUT_SECONDS) -> None:
        """Take where the instance is, how to log in, and how long a connection may take to stand."""
        self._place = host, port
        self._login = login
        self._dial_seconds = dial_seconds
        self._where = f"{host}:{port} as {login.user}"
        self._open: tuple[asyncio.WriteTransport, _Line] | None = None

    async def ask(self, *commands: tuple[str, ...]) -> list[Any]:
        """Send commands together, which costs both sides less than one after the other; return their replies.

        Raises:
            StoreDown: No server listens.
            StoreUnreachable: No connection, no answer in time, or one of the answers is an error.
            StoreRefused: The credential was refused, or is not enough.
        """
        if self._open is None:
            await self._log_in()
        return await self._exchange(*commands)

    def close(self) -> None:
        """Hang up."""
        if self._open is not None:
            self._open[0].abort()
            self._open = None

    async def _log_in(self) -> None:
        with _translated(self._where):
            async with asyncio.timeout(self._dial_seconds):
                transport, line = await asyncio.get_running_loop().create_connection(_Line, *self._place)
        self._open = cast("asyncio.WriteTransport", transport), line
        try:
            await self._exchange(("AUTH", self._login.user, self._login.password))
        except errors.SessionStoreError:
            self.close()
            raise

    async def _exchange(self, *commands: tuple[str, ...]) -> list[Any]:
        try:
            with _translated(self._where):
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    replies = await self._send(*commands)
        except BaseException:
            self.close()  # or a late reply would be taken for that to another question
            raise
        for reply in replies:
            if isinstance(reply, libvalkey.ReplyError):
                self._refuse(str(reply))
        return replies

    async def _send(self, *commands: tuple[str, ...]) -> list[Any]:
        if self._open is None or self._open[1].is_closed:
            raise ConnectionError("the connection was closed")
        transport, line = self._open
        # The name of a command may be two words, such as `CONFIG SET`.
        words = ((*name.split(" "), *arguments) for name, *arguments in commands)
        transport.write(b"".join(map(libvalkey.pack_command, words)))
        return await line.take(len(commands))

    async def __call__(self, *words: str) -> Any:
        """Send one command, and return its reply; raises as `ask` does."""
        (reply,) = await self.ask(words)
        return reply

    def _refuse(self, reply: str) -> None:
        kind = reply.partition(" ")[0]
        if kind in _DENIED:
            # Without the rest: it may quote the command.
            raise errors.StoreRefused(f"{self._where}: {kind}")
        raise errors.StoreUnreachable(f"{self._where}: {reply}")


@contextlib.asynccontextmanager
async def connected(
    host: str, port: int, login: Login, dial_seconds: float = TIMEOUT_SECONDS
) -> AsyncIterator[Session]:
    """Talk to an instance for as long as the block lasts; the first question logs in.

    One fresh connection: what is asked is whether a login works now, not whether an old one still lives.
    """
    session = Session(host, port, login, dial_seconds)
    try:
        yield session
    finally:
        session.close()


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except ConnectionRefusedError as error:
        raise errors.StoreDown(f"{where}: {error}") from error
    except (OSError, libvalkey.ProtocolError) as error:
        raise errors.StoreUnreachable(f"{where}: {type(error).__name__}: {error}") from error
