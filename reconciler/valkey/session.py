"""A session with one Valkey instance: a connection that is logged in. Replies are as the server gives them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import libvalkey

from shared import errors
from shared.disclosure import without_secrets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from reconciler.credentials.login import Login

    Execute: TypeAlias = Callable[..., Awaitable[Any]]

TIMEOUT_SECONDS: Final = 1.0
"""For a connection, and for each answer. An instance in the same cluster takes a millisecond; to wait longer shows
nothing new."""
MAX_BYTES: Final = 16 * 1024 * 1024
"""What all replies to one question may have together. The longest is a list of clients: 4 MiB for the 10,000 that an
instance takes. A server that somebody has taken over could else fill the memory, and failovers end with the process."""
_DENIED: Final = frozenset({"WRONGPASS", "NOAUTH", "NOPERM"})


class _Connection(asyncio.Protocol):
    """A connection, and the replies that have come by it.

    The client library would read each element of a reply by a coroutine of its own. A look at an instance reads about a
    hundred, and that made most of its cost, so this uses the library's parser alone.

    Attributes:
        is_closed: Whether nothing more can come, or be sent.
    """

    def __init__(self) -> None:
        self._reader = _new_reader()
        self._received = 0
        self._has_news = asyncio.Event()
        # The login follows at once, and a server that takes nobody in says so before it.
        self._is_asked = True
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if not self._is_asked or self._received > MAX_BYTES:
            self._cut()
            return
        self._reader.feed(data)
        self._has_news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # a reply that is missing is missing either way
        self.is_closed = True
        self._has_news.set()

    def ask(self, commands: bytes) -> None:
        """Send commands; `take` waits for their replies."""
        self._is_asked = True
        self._transport.write(commands)

    async def take(self, count: int) -> list[Any]:
        """Wait for `count` replies.

        Raises:
            ConnectionError: The connection was closed before all came, or more came than that.
            libvalkey.ProtocolError: What comes is not Valkey's protocol.
        """
        replies = list[Any]()
        while len(replies) < count:
            # RESP2 has no booleans: False means that no reply is complete yet.
            if (reply := self._reader.gets()) is not False:
                replies.append(reply)
                continue
            if self.is_closed:
                raise ConnectionError("the connection was closed")
            self._has_news.clear()
            await self._has_news.wait()
        if self._reader.has_data():
            raise ConnectionError("the server says more than it was asked")
        self._is_asked, self._received = False, 0
        # A reader's buffer stays as large as its longest reply was: 10 KiB, for as long as a session is kept.
        self._reader = _new_reader()
        return replies

    def _cut(self) -> None:
        """End a connection whose replies would fill the memory, or pass for those to the next commands."""
        self._transport.abort()
        self.connection_lost(None)


def _new_reader() -> libvalkey.Reader:
    return libvalkey.Reader(encoding="utf-8", errors="replace")


class Session:
    """A session with an instance. The first command opens a connection, as does the first one after a failure."""

    def __init__(self, host: str, port: int, login: Login, dial_seconds: float = TIMEOUT_SECONDS) -> None:
        """Take where the instance is, how to log in, and how long a connection may take to be established."""
        self._address = host, port
        self._login = login
        self._dial_seconds = dial_seconds
        self._label = f"{host}:{port} as {login.user}"
        self._open: tuple[asyncio.WriteTransport, _Connection] | None = None

    async def ask(self, *commands: tuple[str, ...]) -> list[Any]:
        """Send commands together, which costs both sides less than one after the other, and return their replies.

        Raises:
            StoreDown: No server listens.
            StoreErred: An answer is an error.
            StoreUnreachable: There is no connection, or no answer in time.
            StoreRefused: The instance refused the credential, or the user lacks a right.
        """
        if self._open is None:
            await self._log_in()
        return await self._exchange(*commands)

    @property
    def is_open(self) -> bool:
        """Whether it is logged in, and the instance has not hung up."""
        return self._open is not None and not self._open[1].is_closed

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open[0].abort()
            self._open = None

    async def _log_in(self) -> None:
        with _translated(self._label):
            async with asyncio.timeout(self._dial_seconds):
                transport, connection = await asyncio.get_running_loop().create_connection(_Connection, *self._address)
        self._open = cast("asyncio.WriteTransport", transport), connection
        try:
            await self._exchange(("AUTH", self._login.user, self._login.password))
        except errors.SessionStoreError:
            self.close()
            raise

    async def _exchange(self, *commands: tuple[str, ...]) -> list[Any]:
        try:
            with _translated(self._label):
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    replies = await self._send(*commands)
        except BaseException:
            self.close()  # or a reply that comes later would pass for that to another command
            raise
        for reply in replies:
            if isinstance(reply, libvalkey.ReplyError):
                self._refuse(str(reply))
        return replies

    async def _send(self, *commands: tuple[str, ...]) -> list[Any]:
        if self._open is None or self._open[1].is_closed:
            raise ConnectionError("the connection was closed")
        _, connection = self._open
        # The name of a command may be two words, such as `CONFIG SET`.
        words = ((*name.split(" "), *arguments) for name, *arguments in commands)
        connection.ask(b"".join(map(libvalkey.pack_command, words)))
        return await connection.take(len(commands))

    async def __call__(self, *words: str) -> Any:
        """Send one command, and return its reply; raise as `ask` does."""
        (reply,) = await self.ask(words)
        return reply

    def _refuse(self, reply: str) -> None:
        kind = reply.partition(" ")[0]
        if kind in _DENIED:
            # Without the rest: it may quote the command.
            raise errors.StoreRefused(f"{self._label}: {kind}")
        said = without_secrets(reply)
        raise errors.StoreErred(f"{self._label}: {said}", said)


@contextlib.asynccontextmanager
async def connected(
    host: str, port: int, login: Login, dial_seconds: float = TIMEOUT_SECONDS
) -> AsyncIterator[Session]:
    """Open a session with an instance for as long as the block lasts; the first command logs in.

    The connection is always a new one: the caller wants to know whether a login works now, not whether an old one
    still lives.
    """
    session = Session(host, port, login, dial_seconds)
    try:
        yield session
    finally:
        session.close()


@contextlib.contextmanager
def _translated(instance: str) -> Iterator[None]:
    try:
        yield
    except ConnectionRefusedError as error:
        raise errors.StoreDown(f"{instance}: {error}") from error
    except ConnectionError as error:
        raise errors.StoreHungUp(f"{instance}: {error}") from error
    except (OSError, libvalkey.ProtocolError) as error:
        raise errors.StoreUnreachable(f"{instance}: {type(error).__name__}: {error}") from error
