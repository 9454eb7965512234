"""Valkey instances in memory: who gets in, what a restart brings back, which sessions live, who follows whom.

tests/integration/test_instance_contract.py and test_replication_contract.py check that they behave like real ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.credentials.identities import REPLICATION
from reconciler.credentials.login import Login
from reconciler.state.instance import InstanceFacts, facts_from
from reconciler.state.replication_info import PRIMARY, REPLICA
from shared import errors
from tests.support.fakehistory import FakeHistory

if TYPE_CHECKING:
    from reconciler.valkey.session import Execute

Effect = Callable[[str], None]
OK = "OK"
WAITS = "waits"
US = "reconciler"
"""Address of the reconciler."""
LASTING = "thv:auth:"
"""Keys that begin like this have no end, as an auth server's users; all others have one, as sessions."""


def digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


@dataclass
class FakeSession:
    """A connection that has logged in.

    Attributes:
        waiting: The key of its write that the instance has not answered yet.
    """

    number: int
    host: str
    password: str
    is_open: bool = True
    waiting: str = ""


class FakeInstance:
    """One instance with an ACL file and a disk of its own, as in a pod.

    Attributes:
        file: The ACL file: what it starts with, and what `ACL SAVE` has written since.
        users: Hashes of the passwords of each user, in the running server.
        sessions: All sessions that ever logged in.
        history: Its data set, and the primary that it follows.
        is_reachable: Whether it answers anybody.
        boot: Builds the history with which it starts.
        starts_with: Tells its `maxmemory-policy` as it starts.
    """

    _starts = itertools.count(1)

    def __init__(
        self,
        file: str,
        boot: Callable[[set[str]], FakeHistory] = FakeHistory,
        starts_with: Callable[[], str] = lambda: "allkeys-lru",
    ) -> None:
        self.file = file
        self.starts_with = starts_with
        self.eviction = ""
        self.users: dict[str, frozenset[str]] = {}
        self.sessions: list[FakeSession] = []
        self.is_reachable = True
        self.boot = boot
        self.history = FakeHistory()
        self.restart()

    def restart(self) -> None:
        """Start the container anew, in the same pod."""
        self.users = {}
        for line in self.file.splitlines():
            _, user, _, *words = line.split(" ")
            self.users[user] = frozenset(word[1:] for word in words if word.startswith("#"))
        for session in self.sessions:
            session.is_open = False
        self.history = self.boot(self.history.disk)
        self.eviction = self.starts_with()
        self.run_id = f"{next(self._starts):040x}"

    def accepts(self, user: str, password: str) -> bool:
        return digest(password) in self.users.get(user, ())

    def connect(self, user: str, password: str, host: str) -> FakeSession:
        """Open a session that stays open."""
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
    """Takes the place of the module `reconciler.valkey.users`, and of its connections.

    Attributes:
        instances: By address.
        resolve: Returns the instance's address for a host name or a Service's address.
        reaches: Tells whether packets get from one address to another; `US` is the reconciler's.
        has_dns: Tells whether the instance at an address can resolve names.
        acknowledged: Keys of writes that an instance answered with OK.
        before: Called before each command that changes an instance.
        after: Called after each of these commands.
    """

    def __init__(self) -> None:
        self.instances: dict[str, FakeInstance] = {}
        self.resolve: Callable[[str], str] = lambda host: host
        self.reaches: Callable[[str, str], bool] = lambda _, __: True
        self.has_dns: Callable[[str], bool] = lambda _: True
        self.acknowledged: set[str] = set()
        self.before: Effect = lambda _: None
        self.after: Effect = lambda _: None

    async def observe(self, host: str, port: int, login: Login) -> InstanceFacts:
        instance = self._enter(host, login)
        config = {
            "min-replicas-to-write": str(instance.history.fence),
            "primaryauth": instance.history.password,
            "maxmemory-policy": instance.eviction,
        }
        return facts_from(self._info(instance), dict(instance.users), config)

    async def ping(self, host: str, port: int, login: Login) -> None:
        self._enter(host, login)

    async def admit(self, host: str, port: int, login: Login, hashes: Mapping[str, frozenset[str]]) -> None:
        instance = self._enter(host, login)
        for user, wanted in hashes.items():
            if wanted - instance.users.get(user, frozenset()):
                self._change(instance, f"setuser {user} #", {user: instance.users.get(user, frozenset()) | wanted})
        self._save(instance)

    async def retire(self, host: str, port: int, login: Login, hashes: Mapping[str, str]) -> None:
        instance = self._enter(host, login)
        for user, gone in hashes.items():
            if gone in instance.users.get(user, ()):
                self._change(instance, f"setuser {user} !", {user: instance.users[user] - {gone}})
        self._save(instance)

    async def disconnect(self, host: str, port: int, login: Login, spared: Collection[str]) -> int:
        instance = self._enter(host, login)
        closed = [session for session in instance.sessions if session.is_open and session.host not in spared]
        for session in closed:
            self.before("client kill")
            session.is_open = False
            self.after("client kill")
        return len(closed)

    @contextlib.asynccontextmanager
    async def connected(self, host: str, port: int, login: Login, dial_seconds: float = 0.0) -> AsyncIterator[Execute]:
        """Return a client whose commands take effect at once; those of a transaction at its end."""
        address, transaction = self.resolve(host), list[tuple[str, ...]]()

        async def execute(*words: str) -> Any:
            instance = self._enter(address, login)
            if words == ("EXEC",):
                commands = transaction[1:]
                transaction.clear()
                return self._effect("exec", lambda: [self._within(instance, *each) for each in commands])
            if words == ("MULTI",) or transaction:
                transaction.append(words)
                return "QUEUED"
            return self._answer(instance, *words)

        yield execute

    def write(self, instance: FakeInstance, session: FakeSession, key: str) -> str:
        """Write a key as a client does; while its write waits, the client waits too."""
        history = instance.history
        if not (session.is_open and instance.is_reachable):
            return "closed"
        if history.upstream:
            return "READONLY"
        if len(self.replicas(instance)) < history.fence:
            return "NOREPLICAS"
        if history.pause:
            session.waiting = key
            return WAITS
        history.add(key)
        self.acknowledged.add(key)
        self._replicate()
        return OK

    def resume(self, instance: FakeInstance) -> None:
        """End a pause: writes that wait are carried out."""
        instance.history.pause = 0
        for session in instance.sessions:
            key, session.waiting = session.waiting, ""
            if key:
                self.write(instance, session, key)

    def _answer(self, instance: FakeInstance, *words: str) -> Any:
        match words:
            case ("INFO", *_):
                return _text(self._info(instance))
            case ("ROLE",):
                return [REPLICA if instance.history.upstream else PRIMARY]
        return self._effect(" ".join(words[:2]).lower(), lambda: self._commanded(instance, *words))

    def _within(self, instance: FakeInstance, *words: str) -> str:
        """Carry out a command of a transaction."""
        return _text(self._info(instance)) if words[0] == "INFO" else self._commanded(instance, *words)

    def _commanded(self, instance: FakeInstance, *words: str) -> str:
        history = instance.history
        match words:
            case ("REPLICAOF", "NO", "ONE"):
                history.promote()
            case ("REPLICAOF", host, _):
                history.upstream = host
            case ("CONFIG SET", "min-replicas-to-write", replicas):
                history.fence = int(replicas)
            case ("CONFIG SET", "maxmemory-policy", eviction):
                instance.eviction = eviction
            case ("CONFIG SET", "primaryuser", REPLICATION.user, "primaryauth", password):
                history.password = password
            case ("CLIENT PAUSE", milliseconds, "WRITE"):
                history.pause = max(history.pause, int(milliseconds))
            case ("CLIENT UNPAUSE",):
                self.resume(instance)
            case ("CLIENT KILL", "TYPE", "normal", *_):
                for session in instance.sessions:
                    session.is_open = False
            case _:
                raise AssertionError(f"unknown command: {words[:2]}")
        self._replicate()
        return OK

    def _info(self, instance: FakeInstance) -> dict[str, Any]:
        self._replicate()
        history, primary = instance.history, self._primary(instance)
        replicas = self.replicas(instance)
        info: dict[str, Any] = {
            "valkey_version": "9.1.2",
            "run_id": instance.run_id,
            "loading": 0,
            "paused_reason": "client_pause" if history.pause else "none",
            "role": REPLICA if history.upstream else PRIMARY,
            "master_replid": history.lineage,
            "master_replid2": history.former,
            "master_repl_offset": history.offset,
            "connected_slaves": len(replicas),
            "db0": {"keys": len(history.disk), "expires": sum(not key.startswith(LASTING) for key in history.disk)},
        }
        if history.fence:
            info["min_slaves_good_slaves"] = len(replicas)
        for number, (address, replica) in enumerate(replicas.items()):
            info[f"slave{number}"] = {"ip": address, "state": "online", "offset": replica.history.offset, "lag": 0}
        if history.upstream:
            link = {"master_link_status": "up", "master_last_io_seconds_ago": 0, "repl_backlog_histlen": 14}
            # A copy takes no time here.
            lost = {"master_link_status": "down", "master_link_down_since_seconds": 1, "master_sync_in_progress": 0}
            info |= {"master_host": history.upstream, **(link if primary is not None else lost)}
        return info

    def replicas(self, instance: FakeInstance) -> dict[str, FakeInstance]:
        return {address: each for address, each in self.instances.items() if self._primary(each) is instance}

    def _primary(self, instance: FakeInstance) -> FakeInstance | None:
        """Find the instance that a replica is linked with; a replica can only follow one that is in sync itself."""
        seen, there = [instance], instance
        while there.history.upstream:
            upstream = self._upstream(there)
            if upstream is None or upstream in seen or not (there.is_reachable and upstream.is_reachable):
                return None
            if (
                there.history.is_held_up
                or there.history.pause
                or not upstream.accepts(REPLICATION.user, there.history.password)
            ):
                return None
            seen.append(upstream)
            there = upstream
        return seen[1] if len(seen) > 1 else None

    def _upstream(self, replica: FakeInstance) -> FakeInstance | None:
        """Find the instance to which a replica's packets get."""
        (own,) = (address for address, each in self.instances.items() if each is replica)
        host = replica.history.upstream
        if not (host[0].isdigit() or self.has_dns(own)):
            return None
        address = self.resolve(host)
        return self.instances.get(address) if self.reaches(own, address) else None

    def _replicate(self) -> None:
        # Once for each link that a chain of replicas can have.
        for _ in self.instances:
            for instance in self.instances.values():
                primary = self._primary(instance)
                if primary is not None:
                    instance.history.copy(primary.history)

    def _enter(self, host: str, login: Login) -> FakeInstance:
        instance = self.instances.get(self.resolve(host))
        if instance is None or not self.reaches(US, self.resolve(host)):
            raise errors.StoreUnreachable(f"{host}: nobody there")
        instance.enter(login)
        return instance

    def _change(self, instance: FakeInstance, what: str, users: Mapping[str, frozenset[str]]) -> None:
        self._effect(what, lambda: instance.users.update(users))

    def _save(self, instance: FakeInstance) -> None:
        self._effect("acl save", instance.save)

    def _effect(self, what: str, change: Callable[[], object]) -> Any:
        self.before(what)
        answer = change()
        self.after(what)
        return answer


def _text(info: Mapping[str, Any]) -> str:
    """Write a reply to INFO that `reconciler.state.replication_info.info_from` can read."""
    compound = {
        name: ",".join(f"{key}={each}" for key, each in value.items()) if isinstance(value, dict) else value
        for name, value in info.items()
    }
    return "\r\n".join(["# Everything", *(f"{name}:{value}" for name, value in compound.items())])
