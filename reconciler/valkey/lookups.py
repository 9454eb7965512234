"""Looks names up in threads of its own, as few for each namespace as keep one from using up those of the others.

A look-up is a call of the C library that nobody can interrupt: a name server that is silent holds its thread for as
long as /etc/resolv.conf says, half a minute and more. The event loop's own threads, of which uvloop has four, serve the
connection to the API server, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias

from shared import errors
from shared.session_storage.allowed_hosts import address_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.session_storage.allowed_hosts import Address

    Resolve: TypeAlias = Callable[[str], tuple[Address, ...]]

AT_ONCE: Final = 128
"""Look-ups at a time, the hung ones included: each is a thread, of about 50 KiB."""
AT_ONCE_PER_NAMESPACE: Final = 8
"""As many dials as a namespace has at a time (`controllers.storage_queues`)."""


def _resolve(host: str) -> tuple[Address, ...]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(str(address[0])) for *_, address in found))


class Lookups:
    """Looks up the addresses of names."""

    def __init__(self, resolve: Resolve = _resolve) -> None:
        self._resolve = resolve
        self._under_way: dict[tuple[str, str], asyncio.Future[tuple[Address, ...]]] = {}
        """By namespace and name: whoever asks for the same meanwhile waits for the same answer."""

    async def addresses(self, namespace: str, host: str) -> tuple[Address, ...]:
        """Find all addresses of a host, in the order that the system prefers.

        Cancelling this leaves the thread behind; it counts until it returns.

        Raises:
            NameNotFound: The name is not known here, or so many look-ups hang that this one cannot begin.
        """
        if (address := address_of(host)) is not None:
            return (address,)
        under_way = self._under_way.get((namespace, host)) or self._begin(namespace, host)
        # Whoever gives up leaves the answer to the others.
        if not (addresses := await asyncio.shield(under_way)):
            raise errors.NameNotFound(host)
        return addresses

    def _begin(self, namespace: str, host: str) -> asyncio.Future[tuple[Address, ...]]:
        here = sum(each == namespace for each, _ in self._under_way)
        if here >= AT_ONCE_PER_NAMESPACE or len(self._under_way) >= AT_ONCE:
            raise errors.NameNotFound(host)
        loop = asyncio.get_running_loop()
        outcome = self._under_way[namespace, host] = loop.create_future()

        def finish(found: tuple[Address, ...]) -> None:
            del self._under_way[namespace, host]
            outcome.set_result(found)

        def look_up() -> None:
            found: tuple[Address, ...] = ()
            with contextlib.suppress(OSError, UnicodeError):
                found = self._resolve(host)
            # The loop is closed if the process ends meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, found)

        # No executor: the interpreter waits for the threads of those before it ends, hung or not.
        threading.Thread(target=look_up, name=f"look-up of {host}", daemon=True).start()
        return outcome
