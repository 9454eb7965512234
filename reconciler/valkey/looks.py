"""Looks at instances over one session with each, which stays open from one look to the next.

A login costs both sides more than all questions of a look. A kept session ends when a rotation closes it or the server
ends; the next look logs in anew. So it does from time to time, and whenever passwords may have changed: only a new
login proves that the present password works.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from reconciler.valkey.session import Session
from reconciler.valkey.users import ask_again, ask_all, takes_writes
from shared import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reconciler.credentials.login import Login
    from reconciler.state.instance import InstanceFacts
    from reconciler.valkey.users import Answers

FULL_SECONDS: Final = 300.0
"""After so long a look logs in anew and asks for all passwords, whatever the instance counts."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A session that stays open; of what the instance said, no more than the next look compares.

    Attributes:
        login: The login of the session.
        hashes: The passwords that the instance named when the session was opened.
        acl_revision: The revision of its users then.
        opened_at: When the session was opened, on the clock of `Looks`.
    """

    session: Session
    login: Login = field(repr=False)
    hashes: Mapping[str, frozenset[str]] | None = field(repr=False)
    acl_revision: tuple[str, ...]
    opened_at: float


class Looks:
    """Looks at instances; keeps a session with each."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take a monotonic clock, in seconds."""
        self._clock = clock
        self._kept: dict[tuple[str, int], _Kept] = {}
        self._swept_at = clock()

    def __len__(self) -> int:
        return len(self._kept)

    async def observe(self, host: str, port: int, login: Login, *, is_full: bool = False) -> InstanceFacts:
        """Ask an instance for its role, its configuration, and the passwords that it accepts.

        Args:
            host: Where the instance is.
            port: Its port.
            login: How to log in.
            is_full: Whether to log in anew and to ask for all passwords, even if nothing seems to have changed.

        Raises:
            SessionStoreError: As `Session.ask` does.
        """
        # Taken out as long as it is in use: a second look at the same time opens a session of its own.
        kept = self._kept.pop((host, port), None)
        if kept is None:
            return await self._look_anew(host, port, login)
        if is_full or kept.login != login or not kept.session.is_open or self._is_old(kept):
            kept.session.close()
            return await self._look_anew(host, port, login)
        answers = await _asked_again(kept)
        if answers is None or answers.acl_revision != kept.acl_revision:
            kept.session.close()
            return await self._look_anew(host, port, login)
        self._keep((host, port), kept)
        return answers.facts

    async def takes_writes(self, host: str, port: int, fence: int) -> bool | None:
        """Ask an instance whether it takes writes, over the session that is kept with it; this opens none.

        Args:
            host: Where the instance is.
            port: Its port.
            fence: How many replicas it needs to take writes.

        Returns:
            None if no session is kept, as while a look uses it.

        Raises:
            SessionStoreError: The instance did not answer; the session is closed then.
        """
        place = host, port
        if (kept := self._kept.get(place)) is None or not kept.session.is_open:
            return None
        del self._kept[place]
        with _closed_on_failure(kept.session):
            answer = await takes_writes(kept.session, fence)
        if place in self._kept:
            kept.session.close()  # a look has logged in meanwhile, which says more
        else:
            self._kept[place] = kept
        return answer

    def close(self) -> None:
        """Close all sessions."""
        for kept in self._kept.values():
            kept.session.close()
        self._kept.clear()

    async def _look_anew(self, host: str, port: int, login: Login) -> InstanceFacts:
        session, opened_at = Session(host, port, login), self._clock()
        with _closed_on_failure(session):
            answers = await ask_all(session)
        self._keep((host, port), _Kept(session, login, answers.facts.hashes, answers.acl_revision, opened_at))
        return answers.facts

    def _keep(self, place: tuple[str, int], kept: _Kept) -> None:
        if (other := self._kept.get(place)) is not None:
            other.session.close()
        self._kept[place] = kept
        self._sweep()

    def _is_old(self, kept: _Kept) -> bool:
        return self._clock() - kept.opened_at >= FULL_SECONDS

    def _sweep(self) -> None:
        """Now and then, drop the sessions with instances that nobody looks at any more."""
        now = self._clock()
        if now - self._swept_at < FULL_SECONDS:
            return
        self._swept_at = now
        for place, kept in list(self._kept.items()):
            # Whoever looks at an instance replaces a session of this age.
            if not kept.session.is_open or now - kept.opened_at >= 2 * FULL_SECONDS:
                kept.session.close()
                del self._kept[place]


async def _asked_again(kept: _Kept) -> Answers | None:
    """Ask over a kept session; None if no answer comes.

    A network may drop a connection without a word, as when it is set up anew. Only a new connection shows whether the
    instance is still there.
    """
    try:
        with _closed_on_failure(kept.session):
            return await ask_again(kept.session, kept.hashes)
    except (errors.StoreErred, errors.StoreHungUp):
        raise
    except errors.StoreUnreachable:
        return None


@contextlib.contextmanager
def _closed_on_failure(session: Session) -> Iterator[None]:
    try:
        yield
    except BaseException:
        session.close()
        raise
