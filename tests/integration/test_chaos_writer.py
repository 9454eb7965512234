"""The writer of the chaos suite reports correctly which writes a real Valkey lost, and how long it was away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import valkey

from reconciler.credentials.identities import CONSUMER
from shared.session_storage.sizes import Size
from tests.chaos.wire import PORT
from tests.chaos.writer import Writer
from tests.integration.instances import ADMIN, PASSWORDS, connect, running
from tests.integration.processes import eventually

PREFIX = "w:"


@pytest.fixture(name="instance", scope="module")
def instance_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("valkey"), Size.SMALL) as address:
        yield address


@pytest.fixture(name="admin")
def admin_fixture(instance: str) -> Iterator[valkey.Valkey]:
    with connect(ADMIN, instance) as client:
        client.flushall()
        yield client


@contextmanager
def at_work(instance: str) -> Iterator[Writer]:
    """Have the writer write as a consumer does until the block ends."""
    writer = Writer((instance, PORT), lambda: PASSWORDS[CONSUMER.key], PREFIX)
    thread = threading.Thread(target=writer.run)
    thread.start()
    try:
        writes(writer, 50)
        yield writer
    finally:
        writer.end()
        thread.join()


def writes(writer: Writer, count: int) -> None:
    """Wait for a number of further acknowledged writes."""
    before = len(writer.journal.times)
    eventually(lambda: len(writer.journal.times) >= before + count, what="writes are acknowledged")


def test_keys_that_are_there_count_as_kept_and_are_removed_afterwards(instance: str, admin: valkey.Valkey) -> None:
    with at_work(instance) as writer:
        pass
    verdict = writer.verdict()
    assert verdict | {"gaps": []} == {
        "acked": len(writer.journal.times),
        "role": "master",
        "lost": [],
        "gaps": [],
        "errors": {},
    }
    assert admin.dbsize() == 0


def test_a_missing_key_counts_as_lost_at_the_time_of_its_acknowledgement(instance: str, admin: valkey.Valkey) -> None:
    with at_work(instance) as writer:
        pass
    admin.delete(f"{PREFIX}{writer.journal.numbers[7]}")
    assert writer.verdict()["lost"] == [round(writer.journal.times[7], 3)]


def test_a_closed_connection_counts_as_one_error(instance: str, admin: valkey.Valkey) -> None:
    with at_work(instance) as writer:
        kill: Callable[..., object] = admin.execute_command  # carries no annotations
        kill("CLIENT", "KILL", "USER", CONSUMER.user)
        writes(writer, 50)
    verdict = writer.verdict()
    assert (verdict["errors"], verdict["lost"]) == ({"closed": 1}, [])


def test_refused_writes_count_as_a_gap_with_a_reason(instance: str, admin: valkey.Valkey) -> None:
    with at_work(instance) as writer:
        admin.config_set("min-replicas-to-write", 1)
        try:
            eventually(lambda: len(writer.journal.errors) > 20, what="writes are refused")
        finally:
            admin.config_set("min-replicas-to-write", 0)
        writes(writer, 50)
    gap = writer.journal.gaps(writer.journal.times[-1])[0]
    assert gap["errors"] == {"NOREPLICAS": len(writer.journal.errors)}
    assert writer.verdict()["lost"] == []
