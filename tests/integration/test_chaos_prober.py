"""The prober of the chaos suite reports correctly which passwords a real Valkey accepts and refuses."""

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
from tests.integration.instances import ADDRESSES, ADMIN, PASSWORDS, connect, running
from tests.integration.processes import eventually

ADDRESS = ADDRESSES[Size.MEDIUM]
INSTANCE = "instance"
OLD, NEW = PASSWORDS[CONSUMER.key], generate()


class Secret:
    """The connection Secret, and the version of it that the kubelet has mounted."""

    def __init__(self) -> None:
        self.password = self.mounted = OLD

    def look(self, sight: Sight) -> bool:
        sight.take_in(self.password, {INSTANCE: ADDRESS}, time.monotonic())
        return True


@pytest.fixture(name="set_user")
def set_user_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], None]]:
    """Change the passwords that an instance accepts from consumers."""
    with running(tmp_path_factory.mktemp("valkey"), Size.MEDIUM) as address, connect(ADMIN, address) as client:
        ask: Callable[..., object] = client.execute_command  # carries no annotations

        def set_user(rule: str) -> None:
            ask("ACL", "SETUSER", CONSUMER.user, rule)

        yield set_user


@contextmanager
def at_work(secret: Secret) -> Iterator[Prober]:
    """Have the prober log in again and again until the block ends."""
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
    """Wait until the prober has logged in a few more times."""
    before = prober.logins()
    eventually(lambda: prober.logins() >= before + 10, what="the prober logs in")


def test_the_prober_reports_no_refusal_of_a_password_changed_in_order(set_user: Callable[[str], None]) -> None:
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
    assert verdict["newest"] == {SERVICE: "accepted", INSTANCE: "accepted"}
    assert verdict["former"] == {SERVICE: ["WRONGPASS"], INSTANCE: ["WRONGPASS"]}


def test_the_prober_reports_a_password_that_is_removed_while_it_is_mounted(set_user: Callable[[str], None]) -> None:
    secret = Secret()
    with at_work(secret) as prober:
        set_user(f">{NEW}")
        secret.password = NEW
        goes_on(prober)
        set_user(f"<{OLD}")
        eventually(
            lambda: all("WRONGPASS" in tally.failures for tally in prober.tallies.values()), what="all logins fail"
        )
    verdict = prober.verdict()
    assert verdict["newest"] == {SERVICE: "accepted", INSTANCE: "accepted"}


def test_the_prober_reports_a_former_password_that_is_still_accepted(set_user: Callable[[str], None]) -> None:
    secret = Secret()
    with at_work(secret) as prober:
        set_user(f">{NEW}")
        secret.password = secret.mounted = NEW
        eventually(lambda: NEW in prober.sight.passwords, what="the prober uses the new password")
    assert prober.verdict()["former"] == {SERVICE: ["accepted"], INSTANCE: ["accepted"]}
