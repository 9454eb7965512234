"""A rotation under test: everything that the reconciler does is an effect, and a prober checks logins after each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta

from reconciler.credentials import identities
from reconciler.credentials.identities import BACKUP, EXPORTER, OPERATOR, PROBE, REPLICATION
from reconciler.credentials.key_ring import KeyRing
from reconciler.plan.desired_objects import StorageSettings
from shared import errors, names
from shared.objects.resources import SECRETS, SESSION_STORAGES
from shared.session_storage.sizes import Size
from tests.support.fakevalkey import US, FakeInstance, digest
from tests.support.simulated import KEY, NAMESPACE, SETTINGS, Simulation
from tests.support.toolhive import ToolHive

ELSEWHERE = "elsewhere"
MIRROR = f"{NAMESPACE}.mine-connection"
ENOUGH = 200
"""Passes after which a rotation counts as stuck; one takes about thirty."""


class Killed(BaseException):
    """Ends the reconciler's process; no handler of exceptions catches it."""


class Drill:
    """A storage with two consumers, one of them in another namespace, and a prober that checks after each effect.

    Attributes:
        effects: Everything that the reconciler has done, in order.
        pass_lasts: How much time goes by with each pass, unless a test moves the clock itself.
        is_acting: Whether the reconciler causes what happens now.
        killed_at: Number of the effect at which the process dies, and whether it dies before or after the effect.
    """

    def __init__(self, settings: StorageSettings = SETTINGS) -> None:
        self.simulation = Simulation(settings)
        self.toolhive = ToolHive(self.simulation.api, self.simulation.valkey)
        self.effects: list[str] = []
        self.pass_lasts = timedelta(seconds=1)
        self.killed_at: tuple[int, str] | None = None
        self.is_acting = False
        self.simulation.api.refuse = lambda call: self._happens(call, "before")
        self.simulation.api.on_write = self._has_happened
        self.simulation.valkey.before = self._may_happen
        self.simulation.valkey.after = self._has_happened

    async def start(self, size: Size = Size.SMALL) -> None:
        await self.simulation.ask_for(size=size, allowedNamespaces=[ELSEWHERE])
        await self.toolhive.serve("near", NAMESPACE, "mine")
        await self.toolhive.serve("far", ELSEWHERE, {"name": "mine", "namespace": NAMESPACE})
        await self.simulation.settle()
        await self.toolhive.settle()
        await self.simulation.settle()
        self.effects.clear()

    @property
    def instance(self) -> FakeInstance:
        """The primary."""
        return self.simulation.valkey.instances[self.simulation.primary]

    @property
    def phase(self) -> str | None:
        phase: str | None = self.simulation.status.get("rotation", {}).get("phase")
        return phase

    async def ask(self, word: str) -> None:
        await self.simulation.edit(
            SESSION_STORAGES, KEY[1], {"metadata": {"annotations": {names.ANNOTATION_ROTATE: word}}}
        )

    async def step(self) -> None:
        """Let every party act: the reconciler makes one pass, or as much of one as it survives."""
        self.simulation.passed += self.pass_lasts
        self.is_acting = True
        try:
            await self.simulation.reconcile()
        except Killed:
            self.simulation.start()
        except errors.SessionStorageError:
            pass  # the queue tries again
        finally:
            self.is_acting = False
        await self.simulation.boot()
        await self.toolhive.move()
        self.probe()

    async def until(self, is_so: Callable[[], bool]) -> None:
        for _ in range(ENOUGH):
            if is_so():
                return
            await self.step()
        raise AssertionError(f"still {self.phase} after {ENOUGH} passes: {self.simulation.status}")

    async def until_killed_or_over(self, word: str) -> None:
        await self.until(lambda: self.killed_at is None or self.is_over(word))

    async def finish(self, word: str) -> None:
        """Wait until a rotation is over and nobody writes any more."""
        await self.until(lambda: self.is_over(word))
        for _ in range(3):
            await self.step()
        with self.simulation.quiet():
            for _ in range(3):
                await self.step()

    def is_over(self, word: str) -> bool:
        auth = self.simulation.find(SECRETS, "mine-auth") or {}
        record = auth["metadata"].get("annotations", {}).get(names.ANNOTATION_ROTATION, "")
        return f'"handled":"{word}"' in record and '"ended"' in record and self.phase == "Discarded"

    def probe(self) -> None:
        """Check that nobody is locked out, now or after any restart: no consumer, no instance, not the reconciler."""
        self._probe_consumers()
        self._probe_identities()
        self._probe_replication()

    def _probe_consumers(self) -> None:
        api = self.simulation.api
        handed_out = [
            identities.decoded(secret["data"])[names.KEY_REDIS_PASSWORD]
            for key in ((SECRETS.plural, NAMESPACE, "mine-connection"), (SECRETS.plural, ELSEWHERE, MIRROR))
            if (secret := api.objects.get(key))
        ]
        held = [holder.password for holder in self.toolhive.holders]
        new_pod = FakeInstance(self._auth.get("users.acl", ""))
        for password in (*handed_out, *held):
            assert new_pod.accepts("default", password), "a new pod would refuse the password"
            for instance in self.simulation.valkey.instances.values():
                assert instance.accepts("default", password), "the instance refuses the password"
                assert FakeInstance(instance.file).accepts("default", password), (
                    "the instance would refuse the password after a restart"
                )

    def _probe_identities(self) -> None:
        """Check that the reconciler, probes and whoever reads the auth Secret can log in to every instance."""
        auth, mounts = self._auth, self.simulation.kubelets.mounts
        ring = KeyRing.of(self.simulation.find(SECRETS, "mine-auth"))
        for pod, running in self.simulation.kubelets.running.items():
            for instance in (running, FakeInstance(running.file)):
                accepted = [password for password in ring.operators if instance.accepts(OPERATOR.user, password)]
                assert accepted, f"{pod} refuses the reconciler"
                assert instance.accepts(PROBE.user, mounts[pod][PROBE.key]), f"{pod} refuses its probe"
                for identity in (EXPORTER, BACKUP):
                    assert instance.accepts(identity.user, auth[identity.key]), f"{pod} refuses {identity.user}"

    def _probe_replication(self) -> None:
        """Check that the primary accepts an instance's password, if the reconciler cannot tell the instance another."""
        simulation = self.simulation
        primary = simulation.valkey.instances.get(simulation.primary)
        for address, instance in simulation.valkey.instances.items():
            if primary is None or instance is primary or simulation.valkey.reaches(US, address):
                continue
            accepted = primary.accepts(REPLICATION.user, instance.history.password)
            assert accepted, f"the primary refuses {address}, which nobody can tell another password"

    @property
    def _auth(self) -> dict[str, str]:
        return identities.decoded((self.simulation.find(SECRETS, "mine-auth") or {}).get("data"))

    def _may_happen(self, what: str) -> None:
        if error := self._happens(what, "before"):
            raise error

    def _has_happened(self, what: str) -> None:
        if self.is_acting:
            self.probe()
            if error := self._happens(what, "after"):
                raise error

    def _happens(self, what: str, when: str) -> BaseException | None:
        if not self.is_acting:
            return None
        if when == "before":
            self.effects.append(what)
        if self.killed_at == (len(self.effects), when):
            self.killed_at = None
            return Killed()
        return None


def passwords(drill: Drill) -> dict[str, str]:
    values = drill.simulation.secret("mine-auth")
    return {key: values[key] for key in identities.PASSWORD_KEYS}


def secrets_text(drill: Drill) -> str:
    stored = [obj for key, obj in drill.simulation.api.objects.items() if key[0] == SECRETS.plural]
    return str([identities.decoded(secret["data"]) for secret in stored])


def assert_gone(drill: Drill, old: dict[str, str]) -> None:
    """Check that no former password is left: no instance accepts it, no Secret holds it, no session uses it."""
    new = passwords(drill)
    assert not set(old.values()) & set(new.values())
    for instance in drill.simulation.valkey.instances.values():
        for identity in identities.IDENTITIES:
            assert instance.users[identity.user] == {digest(new[identity.key])}
            assert FakeInstance(instance.file).users[identity.user] == {digest(new[identity.key])}
        assert not [each for each in instance.sessions if each.is_open and each.password in old.values()]
    assert not [key for key, password in old.items() if password in secrets_text(drill)]
    assert {holder.password for holder in drill.toolhive.holders} == {new["password"]}
    assert len(drill.toolhive.holders) == 4


@contextlib.contextmanager
def acting(drill: Drill) -> Iterator[None]:
    drill.is_acting = True
    try:
        yield
    finally:
        drill.is_acting = False
