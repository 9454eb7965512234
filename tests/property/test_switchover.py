"""Wherever a move of the primary breaks off, no acknowledged write is lost, and a primary takes writes at the end."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.credentials import identities
from shared import errors, names
from shared.objects.resources import SESSION_STORAGES
from tests.support.drill import Killed
from tests.support.fakevalkey import OK, WAITS, FakeInstance, FakeSession
from tests.support.simulated import KEY, Simulation
from tests.support.virtual_time import VirtualTimeLoop, in_virtual_time

SIZES = ("small", "large")
PASSES = 40
SHORT_PAUSE = 5_000
"""Milliseconds; a pause of at most this length ends by itself while the reconciler is away."""


class Writer:
    """A client that writes a key whenever it can, on one connection as long as that lasts.

    Attributes:
        answers: The answers that it got, other than OK.
    """

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation = simulation
        self._keys = (f"{name}:{number}" for number in itertools.count())
        self._instance: FakeInstance | None = None
        self._session: FakeSession | None = None
        self.answers: set[str] = set()

    def write(self) -> None:
        if self._session is None or not self._session.is_open:
            self._connect()
        if self._instance is None or self._session is None or self._session.waiting:
            return
        answer = self._simulation.valkey.write(self._instance, self._session, next(self._keys))
        self.answers |= {answer} - {OK, WAITS}
        # ToolHive's client does so too: it leaves a server that refuses to write.
        if answer not in {OK, WAITS}:
            self._session.is_open = False

    def _connect(self) -> None:
        self._instance, self._session = self._simulation.valkey.instances.get(self._simulation.primary), None
        if self._instance is not None and self._instance.is_reachable:
            password = self._simulation.secret("mine-connection")[names.KEY_REDIS_PASSWORD]
            self._session = self._instance.connect(identities.CONSUMER.user, password, "10.9.0.1")


class Handover:
    """A storage whose primary is asked to move, and clients that write before and after every effect of it.

    Attributes:
        effects: Everything that the reconciler has done since the move was asked for, in order.
        at: Number of the effect at which the fault happens, and whether before or after it.
        happens: The fault; None once it has happened.
    """

    def __init__(self, size: str) -> None:
        self.simulation = Simulation()
        self.size = size
        self.effects: list[str] = []
        self.at = (0, "")
        self.happens: Callable[[str], BaseException | None] | None = None
        self._is_acting = False
        self.writers = [Writer(self.simulation, name) for name in ("busy", "late", "fresh")]
        self.simulation.api.refuse = lambda what: self._happened(what, "before")
        self.simulation.api.on_write = lambda what: self._raise(what, "after")
        self.simulation.valkey.before = lambda what: self._raise(what, "before")
        self.simulation.valkey.after = lambda what: self._raise(what, "after")

    async def start(self) -> None:
        await self.simulation.ask_for(size=self.size)
        await self.simulation.settle()
        for writer in self.writers:
            writer.write()
        word = {"metadata": {"annotations": {names.ANNOTATION_SWITCHOVER: "one"}}}
        await self.simulation.edit(SESSION_STORAGES, KEY[1], word)

    async def step(self) -> None:
        """Let the reconciler make a pass, or as much of one as it survives."""
        self._is_acting = True
        try:
            await self.simulation.reconcile()
        except Killed:
            self.simulation.start()
        except errors.SessionStorageError:
            pass  # the queue tries again
        finally:
            self._is_acting = False
        await self.simulation.boot()
        self.look()

    async def finish(self) -> None:
        """Wait until nobody writes any more."""
        quiet = 0
        for _ in range(PASSES):
            writes = len(self.simulation.api.writes)
            await self.step()
            quiet = quiet + 1 if len(self.simulation.api.writes) == writes else 0
            if quiet == 3:
                return
        raise AssertionError(f"not over after {PASSES} passes: {self.simulation.status}, {self.effects}")

    @property
    def has_moved(self) -> bool:
        return self.simulation.status.get("primary") not in {None, "mine-valkey-0"}

    @property
    def instances(self) -> dict[str, FakeInstance]:
        return self.simulation.valkey.instances

    @property
    def primary(self) -> FakeInstance:
        return self.instances[self.simulation.primary]

    def look(self) -> None:
        """Let clients write, and check that they cannot write to two instances."""
        busy, _, fresh = self.writers
        busy.write()
        fresh._session = None
        fresh.write()
        named = self.instances.get(self.simulation.primary)
        writable = [
            instance
            for instance in self.instances.values()
            if not (instance.history.upstream or instance.history.pause)
        ]
        reached = [
            instance for instance in writable if instance is named or any(each.is_open for each in instance.sessions)
        ]
        assert len(reached) <= 1, "clients can write to two instances"

    def assert_kept(self) -> None:
        """Check that every acknowledged write is there, and that the storage takes writes."""
        for writer in self.writers:
            writer.write()
            writer.write()
        valkey = self.simulation.valkey
        probe = self.primary.connect(
            identities.CONSUMER.user, self.simulation.secret("mine-connection")["REDIS_PASSWORD"], "10.9.0.2"
        )
        assert valkey.write(self.primary, probe, "probe") == OK
        assert [valkey.acknowledged - instance.history.disk for instance in self.instances.values()] == [set()] * len(
            self.instances
        )
        assert not any(instance.history.pause for instance in self.instances.values())
        assert len(self.instances) == (3 if self.size == "large" else 1)
        assert self.primary.history.fence == (1 if self.size == "large" else 0)

    def _raise(self, what: str, when: str) -> None:
        if error := self._happened(what, when):
            raise error

    def _happened(self, what: str, when: str) -> BaseException | None:
        if not self._is_acting:
            return None
        if when == "before":
            self.effects.append(what)
        self.look()
        if self.happens is not None and self.at == (len(self.effects), when):
            happens, self.happens = self.happens, None
            return happens(what)
        return None

    def restart(self, index: int) -> None:
        """Start the server of an instance anew, if there is one."""
        pod = self.simulation.kubelets.pods.get(f"mine-valkey-{index}-0")
        instance = self.instances.get(pod["status"]["podIP"]) if pod is not None else None
        if instance is not None:
            instance.restart()

    def let_time_pass(self) -> None:
        for instance in self.instances.values():
            if instance.history.pause <= SHORT_PAUSE:
                self.simulation.valkey.resume(instance)
        self.look()


def killed(handover: Handover, what: str) -> BaseException:
    return Killed()


def killed_for_a_while(handover: Handover, what: str) -> BaseException:
    handover.let_time_pass()
    return Killed()


def killed_with_the_old_primary(handover: Handover, what: str) -> BaseException:
    handover.restart(0)
    return Killed()


def killed_with_the_candidate(handover: Handover, what: str) -> BaseException:
    handover.restart(1)
    return Killed()


def unanswered(handover: Handover, what: str) -> BaseException:
    """Lose the answer: the reconciler cannot know whether the effect happened."""
    is_request = "/" in what
    return errors.Unavailable("no answer") if is_request else errors.StoreUnreachable("no answer")


def overtaken(handover: Handover, what: str) -> None:
    """Freeze the reconciler while another one leads and makes its passes, and then let it go on."""
    handover._is_acting = False
    other = copy.copy(handover.simulation)

    async def lead() -> None:
        other.start()
        for _ in range(6):
            with contextlib.suppress(errors.SessionStorageError):  # the queue tries again
                await other.reconcile()
            handover.look()

    def run() -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(lead())

    with ThreadPoolExecutor(1) as thread:
        thread.submit(run).result()
    handover._is_acting = True


FAULTS = (
    (killed, "after"),
    (killed_for_a_while, "after"),
    (killed_with_the_old_primary, "after"),
    (killed_with_the_candidate, "after"),
    (overtaken, "after"),
    (unanswered, "before"),
    (unanswered, "after"),
)
"""Faults, and on which side of an effect each happens; for a kill, after one is the same as before the next."""


@pytest.mark.parametrize("size", SIZES)
@in_virtual_time
async def test_no_client_notices_a_move_without_faults(size: str) -> None:
    handover = Handover(size)
    await handover.start()
    await handover.finish()
    handover.assert_kept()
    assert handover.has_moved
    assert {answer for writer in handover.writers for answer in writer.answers} == set()


@pytest.mark.parametrize(("fault", "when"), FAULTS)
@pytest.mark.parametrize("size", SIZES)
@in_virtual_time
async def test_whatever_happens_at_any_effect_of_a_move_no_acknowledged_write_is_lost(
    size: str, fault: Callable[[Handover, str], BaseException | None], when: str
) -> None:
    for handover in handovers(size, fault, when):
        await handover.start()
        await handover.finish()
        handover.assert_kept()
        # If the candidate dies as soon as it is primary, the former primary takes over again.
        assert handover.has_moved or fault is killed_with_the_candidate


def handovers(size: str, fault: Callable[[Handover, str], BaseException | None], when: str) -> Iterator[Handover]:
    """Yield a handover for each effect at which a fault can happen."""
    for number in itertools.count(1):
        handover = Handover(size)
        handover.at = (number, when)
        handover.happens = lambda what, handover=handover: fault(handover, what)
        yield handover
        if handover.happens is not None:
            assert number > 20, "the move had too few effects for this to test anything"
            return
