"""The writers of the chaos suite report correctly which writes a real Valkey lost, and how long it was away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import valkey

from deploy.local import binaries
from reconciler.credentials.identities import CONSUMER
from shared.session_storage.sizes import Size
from tests.chaos import verdicts
from tests.chaos.verdicts import Verdict
from tests.integration.instances import ADMIN, PASSWORDS, connect, running
from tests.integration.processes import Process, eventually

PREFIX = "w:"
MODULE = "tests.chaos.writer"
IMPATIENT, GO_REDIS = "impatient", "go-redis"
REFUSED_WRITES = 20


@dataclass
class Writing:
    """A writer that writes as a consumer does, in a process of its own."""

    process: Process
    ask: Callable[..., Any]
    """Sends Valkey a command of its administrator."""

    def writes(self, count: int) -> None:
        """Wait for a number of further writes."""
        before = self.ask("DBSIZE")
        eventually(lambda: self.ask("DBSIZE") >= before + count, what="keys are written")

    def keys(self) -> set[bytes]:
        """List the keys that are there."""
        return set(self.ask("KEYS", f"{PREFIX}*"))

    def verdict(self) -> Verdict:
        """End the writer, and read its verdict; its times are those of the monotonic clock."""
        assert self.process.terminate() == 0
        found = verdicts.verdict(self.process.log.read_text().splitlines(), struck=0)
        assert found is not None, self.process.log.read_text()
        return found


@pytest.fixture(name="instance", scope="module")
def instance_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("valkey"), Size.SMALL) as address:
        yield address


@pytest.fixture(name="admin")
def admin_fixture(instance: str) -> Iterator[valkey.Valkey]:
    with connect(ADMIN, instance) as client:
        client.flushall()
        client.config_resetstat()
        yield client


@pytest.fixture(name="client", params=[IMPATIENT, GO_REDIS])
def client_fixture(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(name="writing")
def writing_fixture(client: str, instance: str, admin: valkey.Valkey, tmp_path: Path) -> Iterator[Writing]:
    password = tmp_path / "password"
    password.write_text(PASSWORDS[CONSUMER.key])
    environ = {"VALKEY_HOST": instance, "KEY_PREFIX": PREFIX, "PASSWORD_FILE": str(password)}
    command = [binaries.binary("chaos-writer")] if client == GO_REDIS else None
    writing = Writing(Process(MODULE, environ, tmp_path / "log", command), admin.execute_command)
    writing.process.start()
    try:
        writing.writes(50)
        yield writing
    finally:
        writing.process.kill()


def test_keys_that_are_there_count_as_kept_and_are_removed_afterwards(writing: Writing, admin: valkey.Valkey) -> None:
    verdict = writing.verdict()
    assert (verdict.role, verdict.lost, verdict.errors) == ("master", (), {})
    assert verdict.acked >= 50
    assert admin.dbsize() == 0


def test_a_missing_key_counts_as_lost_at_the_time_of_its_acknowledgement(
    writing: Writing, admin: valkey.Valkey
) -> None:
    begun, earlier = time.monotonic(), writing.keys()  # in this order: the writer goes on in between
    writing.writes(50)
    later, ended = writing.keys(), time.monotonic()
    admin.delete(min(later - earlier, key=lambda key: int(key.removeprefix(PREFIX.encode()))))
    (at,) = writing.verdict().lost
    assert round(begun, 3) <= at <= round(ended, 3)


@pytest.mark.parametrize(
    ("client", "errors"),
    [
        pytest.param(IMPATIENT, {"closed": 1}, id=IMPATIENT),
        # go-redis connects anew and sends the write again by itself.
        pytest.param(GO_REDIS, {}, id=GO_REDIS),
    ],
)
def test_a_closed_connection_is_at_most_one_error(writing: Writing, errors: Mapping[str, int]) -> None:
    assert writing.ask("CLIENT", "KILL", "USER", CONSUMER.user) == 1
    writing.writes(50)
    verdict = writing.verdict()
    assert (verdict.errors, verdict.lost) == (errors, ())


def test_refused_writes_count_as_a_gap_with_a_reason(writing: Writing, admin: valkey.Valkey) -> None:
    def refused() -> int:
        return sum(counted["count"] for counted in writing.ask("INFO", "errorstats").values())

    admin.config_set("min-replicas-to-write", 1)
    try:
        eventually(lambda: refused() > REFUSED_WRITES, what="writes are refused")
        refused_at = time.monotonic()
    finally:
        admin.config_set("min-replicas-to-write", 0)
    writing.writes(50)
    verdict = writing.verdict()
    assert verdict.errors["NOREPLICAS"] > 0
    # On a busy machine, another gap may be longer.
    gap = next(gap for gap in verdict.gaps if gap.errors)
    assert (gap.errors, verdict.lost) == (verdict.errors, ())
    assert gap.begun < refused_at < gap.begun + gap.seconds
