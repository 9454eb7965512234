"""Valkey nodes in memory, as far as passwords go: who gets in, what a restart brings back, which sessions live.

tests/integration/test_node_contract.py holds it to the behaviour of the real one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from shared import errors
from shared.valkey_node import Login, NodeFacts

Effect = Callable[[str], None]


def digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


@dataclass
class FakeSession:
    """A connection that has logged in."""

    number: int
    host: str
    password: str
    is_open: bool = True


class FakeNode:
    """One node; its ACL file is its own, as in a pod.

    Attributes:
        file: What it starts with, and what `ACL SAVE` has written since.
        users: Hashes of each user's passwords, as it runs.
        sessions: Everybody who ever logged in.
        is_reachable: Whether it answers.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.users: dict[str, frozenset[str]] = {}
        self.sessions: list[FakeSession] = []
        self.is_reachable = True
        self.restart()

    def restart(self) -> None:
        """Start the container anew, in the same pod."""
        self.users = {}
        for line in self.file.splitlines():
            _, user, _, *words = line.split(" ")
            self.users[user] = frozenset(word[1:] for word in words if word.startswith("#"))
        for session in self.sessions:
            session.is_open = False

    def accepts(self, user: str, password: str) -> bool:
        return digest(password) in self.users.get(user, ())

    def connect(self, user: str, password: str, host: str) -> FakeSession:
        """Open a session that stays."""
        self.enter(Login(user, password))
        session = FakeSession(len(self.sessions) + 1, host, password)
        self.sessions.append(session)
        return session

    def enter(self, login: Login) -> None:
        if not self.is_reachable:
            raise errors.StoreUnreachable("no route")
        if not self.accepts(login.user, login.password):
            raise errors.StoreRefused(f"as {login.user}: AuthenticationError")

    def save(self) -> None:
        lines = (f"user {user} on {' '.join(f'#{each}' for each in hashes)}" for user, hashes in self.users.items())
        self.file = "\n".join([*lines, ""])


class FakeValkey:
    """Takes the place of the module `shared.valkey_node`.

    Attributes:
        nodes: By address.
        before: Told of each command that changes a node, before it does.
        after: Told of the same, once it has.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, FakeNode] = {}
        self.before: Effect = lambda _: None
        self.after: Effect = lambda _: None

    async def observe(self, host: str, port: int, login: Login) -> NodeFacts:
        node = self._enter(host, login)
        return NodeFacts("master", "9.1.2", is_loading=False, hashes=dict(node.users))

    async def ping(self, host: str, port: int, login: Login) -> None:
        self._enter(host, login)

    async def admit(self, host: str, port: int, login: Login, hashes: Mapping[str, frozenset[str]]) -> None:
        node = self._enter(host, login)
        for user, wanted in hashes.items():
            if wanted - node.users.get(user, frozenset()):
                self._change(node, f"setuser {user} #", {user: node.users.get(user, frozenset()) | wanted})
        self._save(node)

    async def retire(self, host: str, port: int, login: Login, hashes: Mapping[str, str]) -> None:
        node = self._enter(host, login)
        for user, gone in hashes.items():
            if gone in node.users.get(user, ()):
                self._change(node, f"setuser {user} !", {user: node.users[user] - {gone}})
        self._save(node)

    async def disconnect(self, host: str, port: int, login: Login, spared: Collection[str]) -> int:
        node = self._enter(host, login)
        closed = [session for session in node.sessions if session.is_open and session.host not in spared]
        for session in closed:
            self.before("client kill")
            session.is_open = False
            self.after("client kill")
        return len(closed)

    def _enter(self, host: str, login: Login) -> FakeNode:
        node = self.nodes.get(host)
        if node is None:
            raise errors.StoreUnreachable(f"{host}: nobody there")
        node.enter(login)
        return node

    def _change(self, node: FakeNode, what: str, users: Mapping[str, frozenset[str]]) -> None:
        self.before(what)
        node.users |= users
        self.after(what)

    def _save(self, node: FakeNode) -> None:
        self.before("acl save")
        node.save()
        self.after("acl save")
