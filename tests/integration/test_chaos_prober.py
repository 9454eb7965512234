"""The prober of the chaos suite tells the truth about a real Valkey: who gets in, who is refused, who still gets in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from reconciler.apply.passwords import generate
from reconciler.credentials.identities import CONSUMER
from shared.session_storage.sizes import Size
from tests.chaos.rotating.prober import SERVICE, Prober, Sight
from tests.integration.conftest import eventually
from tests.integration.instances import ADDRESSES, ADMIN, PASSWORDS, connect, running

ADDRESS = ADDRESSES[Size.MEDIUM]
NODE = "node"
OLD, NEW = PASSWORDS[CONSUMER.key], generate()


class Secret:
    """What consumers are handed, and what kubelet has mounted of it."""

    def __init__(self) -> None:
        self.password = self.mounted = OLD

    def look(self, sight: Sight) -> bool:
        sight.take_in(self.password, {NODE: ADDRESS}, time.monotonic())
        return True


@pytest.fixture(name="set_user")
def set_user_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], None]]:
    """Change what a node accepts of consumers."""
    with running(tmp_path_factory.mktemp("valkey"), Size.MEDIUM) as address, connect(ADMIN, address) as client:
        ask: Callable[..., object] = client.execute_command  # carries no annotations

        def set_user(rule: str) -> None:
            ask("ACL", "SETUSER", CONSUMER.user, rule)

        yield set_user


@contextmanager
def at_work(secret: Secret) -> Iterator[Prober]:
    """Log in all the while until the block ends."""
    prober = Prober(Sight(ADDRESS), secret.look, lambda: secret.mounted)
    thread = threading.Thread(target=prober.run)
    thread.start()
    try:
        goes_on(prober)
        yield prober
    finally:
        prober.end()
        thread.join()


def goes_on(prober: Prober) -> None:
    """Wait until it has got in a few times more."""
    before = prober.logins()
    eventually(lambda: prober.logins() >= before + 10, what="the prober gets in")


def test_a_password_that_is_changed_in_the_right_order_is_never_refused(set_user: Callable[[str], None]) -> None:
    secret = Secret()
    with at_work(secret) as prober:
        set_user(f">{NEW}")
        secret.password = NEW
        goes_on(prober)
        secret.mounted = NEW
        goes_on(prober)
        set_user(f"<{OLD}")
        goes_on(prober)
    verdict = prober.verdict()
    assert (verdict["failures"], verdict["passwords"]) == ([], 2)
    assert verdict["newest"] == {SERVICE: "accepted", NODE: "accepted"}
    assert verdict["former"] == {SERVICE: ["WRONGPASS"], NODE: ["WRONGPASS"]}


def test_a_password_that_is_taken_away_while_it_is_mounted_is_refused(set_user: Callable[[str], None]) -> None:
    secret = Secret()
    with at_work(secret) as prober:
        set_user(f">{NEW}")
        secret.password = NEW
        goes_on(prober)
        set_user(f"<{OLD}")
        eventually(
            lambda: all("WRONGPASS" in tally.failures for tally in prober.tallies.values()), what="it is refused"
        )
    verdict = prober.verdict()
    assert verdict["newest"] == {SERVICE: "accepted", NODE: "accepted"}


def test_a_former_password_that_still_gets_in_is_told(set_user: Callable[[str], None]) -> None:
    secret = Secret()
    with at_work(secret) as prober:
        set_user(f">{NEW}")
        secret.password = secret.mounted = NEW
        eventually(lambda: NEW in prober.sight.passwords, what="the new password is seen")
    assert prober.verdict()["former"] == {SERVICE: ["accepted"], NODE: ["accepted"]}
