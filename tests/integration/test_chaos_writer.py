"""The writer of the chaos suite tells the truth about a real Valkey: what it lost, and how long it was away."""

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
from tests.integration.conftest import eventually
from tests.integration.instances import ADMIN, PASSWORDS, connect, running

PREFIX = "w:"


@pytest.fixture(name="node", scope="module")
def node_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("valkey"), Size.SMALL) as address:
        yield address


@pytest.fixture(name="admin")
def admin_fixture(node: str) -> Iterator[valkey.Valkey]:
    with connect(ADMIN, node) as client:
        client.flushall()
        yield client


@contextmanager
def at_work(node: str) -> Iterator[Writer]:
    """Write as a consumer does until the block ends."""
    writer = Writer((node, PORT), lambda: PASSWORDS[CONSUMER.key], PREFIX)
    thread = threading.Thread(target=writer.run)
    thread.start()
    try:
        writes(writer, 50)
        yield writer
    finally:
        writer.end()
        thread.join()


def writes(writer: Writer, count: int) -> None:
    """Wait until so many more writes were acknowledged."""
    before = len(writer.journal.times)
    eventually(lambda: len(writer.journal.times) >= before + count, what="writes are acknowledged")


def test_what_is_there_is_not_lost_and_is_taken_away_afterwards(node: str, admin: valkey.Valkey) -> None:
    with at_work(node) as writer:
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


def test_a_key_that_is_gone_is_lost_at_the_time_of_its_acknowledgement(node: str, admin: valkey.Valkey) -> None:
    with at_work(node) as writer:
        pass
    admin.delete(f"{PREFIX}{writer.journal.numbers[7]}")
    assert writer.verdict()["lost"] == [round(writer.journal.times[7], 3)]


def test_a_connection_that_is_closed_is_one_error_and_no_more(node: str, admin: valkey.Valkey) -> None:
    with at_work(node) as writer:
        kill: Callable[..., object] = admin.execute_command  # carries no annotations
        kill("CLIENT", "KILL", "USER", CONSUMER.user)
        writes(writer, 50)
    verdict = writer.verdict()
    assert (verdict["errors"], verdict["lost"]) == ({"closed": 1}, [])


def test_a_primary_that_refuses_writes_is_a_gap_with_a_name(node: str, admin: valkey.Valkey) -> None:
    with at_work(node) as writer:
        admin.config_set("min-replicas-to-write", 1)
        try:
            eventually(lambda: len(writer.journal.errors) > 20, what="writes are refused")
        finally:
            admin.config_set("min-replicas-to-write", 0)
        writes(writer, 50)
    gap = writer.journal.gaps(writer.journal.times[-1])[0]
    assert gap["errors"] == {"NOREPLICAS": len(writer.journal.errors)}
    assert writer.verdict()["lost"] == []
