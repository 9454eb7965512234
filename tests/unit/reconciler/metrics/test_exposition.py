"""What Prometheus reads on `/metrics/storages`, and that nobody else waits for it.

The last test writes the lines of 3,000 instances, which takes about a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from reconciler.metrics import families
from reconciler.metrics.exposition import Exposition
from reconciler.metrics.families import IS_LEADER, STORAGE_FAMILIES, TOOLHIVE_COMMANDS
from reconciler.metrics.storage_lines import condition_lines, session_lines
from reconciler.runtime import scrape
from shared.process import probes
from shared.session_storage.status import Condition
from tests.support.exposed import large_state, lines_of, parsed
from tests.support.storages import NOW

INFO = (Path(__file__).parent / "info-of-valkey-9.1.2.txt").read_text()
KEY = ("team", "mine")
READY = Condition(type="Ready", status="True", reason="StorageReady", last_transition_time=NOW)
ABSENT_HERE = {
    "session_storage_rotation_phase_since_seconds",  # nothing rotates
    "session_storage_rotation_interval_seconds",
    "session_storage_consumers",  # nobody uses the storage
    "redis_slave_repl_offset",  # the reply to INFO is a primary's
    "redis_master_link_up",
}


@pytest.fixture(name="exposition")
def exposition_fixture() -> Exposition:
    exposition = Exposition()
    exposition.is_leader = True
    exposition.publish(KEY, "look", lines_of(large_state(INFO)))
    exposition.publish(KEY, "conditions", condition_lines(KEY, [READY]))
    exposition.publish(KEY, "sessions", session_lines(KEY, {("team", "srv"): 2}, 4096, NOW))
    return exposition


@contextlib.asynccontextmanager
async def serving(exposition: Exposition) -> AsyncIterator[str]:
    app = probes.probes_app(lambda: (), further=[scrape.storages_route(exposition)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


@pytest.fixture(name="served")
async def served_fixture(exposition: Exposition) -> AsyncIterator[str]:
    async with serving(exposition) as url:
        yield url


def test_every_line_has_the_labels_that_its_family_declares(exposition: Exposition) -> None:
    read, declared = parsed(b"".join(exposition.pieces())), {family.name: family for family in STORAGE_FAMILIES}
    assert read.keys() - {IS_LEADER.name} == declared.keys() - ABSENT_HERE
    for name, metric in read.items():
        if name == IS_LEADER.name:
            continue
        assert (metric.type, metric.documentation) == (declared[name].kind, declared[name].help)
        assert metric.samples
        for sample in metric.samples:
            assert sample.labels.keys() - {"le"} == set(declared[name].labels), sample.name


def test_no_two_lines_are_of_the_same_series(exposition: Exposition) -> None:
    samples = [
        (sample.name, *sorted(sample.labels.items()))
        for metric in parsed(b"".join(exposition.pieces())).values()
        for sample in metric.samples
    ]
    assert len(samples) == len(set(samples)) > 100


def test_each_family_has_one_header_however_many_storages_there_are(exposition: Exposition) -> None:
    exposition.publish(("team", "other"), "look", lines_of(large_state(INFO, "other")))
    text = b"".join(exposition.pieces()).decode()
    headers = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(headers) == len(set(headers))
    assert {sample.labels["storage"] for sample in parsed(text.encode())["redis_up"].samples} == {"mine", "other"}


def test_a_replica_that_does_not_lead_says_so_and_nothing_of_storages(exposition: Exposition) -> None:
    exposition.is_leader = False
    read = parsed(b"".join(exposition.pieces()))
    assert {name: [sample.value for sample in metric.samples] for name, metric in read.items()} == {
        IS_LEADER.name: [0.0]
    }


def test_the_series_of_a_storage_that_is_gone_are_gone(exposition: Exposition) -> None:
    exposition.withdraw(KEY)
    assert b"mine" not in b"".join(exposition.pieces())
    assert not exposition.has(KEY)


def test_a_scrape_shows_one_moment_even_if_a_storage_goes_meanwhile(exposition: Exposition) -> None:
    pieces = exposition.pieces()
    first = [next(pieces), next(pieces)]
    exposition.withdraw(KEY)
    assert b"redis_up{" in b"".join([*first, *pieces])


def test_a_part_that_is_published_again_takes_the_place_of_the_former_one(exposition: Exposition) -> None:
    exposition.publish(KEY, "sessions", session_lines(KEY, {("team", "srv"): 5}, None, NOW))
    read = parsed(b"".join(exposition.pieces()))
    assert [sample.value for sample in read["session_storage_sessions"].samples] == [5.0]
    assert families.MEMORY_PER_SESSION.name not in read


async def test_prometheus_gets_the_lines_compressed_if_it_takes_that(served: str, exposition: Exposition) -> None:
    expected = b"".join(exposition.pieces())
    async with ClientSession(auto_decompress=False) as session:
        async with session.get(f"{served}{scrape.PATH}", headers={"Accept-Encoding": "gzip"}) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert answer.headers["Content-Type"] == scrape.CONTENT_TYPE
            assert gzip.decompress(await answer.read()) == expected
        async with session.get(f"{served}{scrape.PATH}", headers={"Accept-Encoding": "identity"}) as answer:
            assert (answer.status, await answer.read()) == (200, expected)


class Large(Exposition):
    """Lines that are more than one piece of an answer, and that know how many scrapes hold them at once."""

    def __init__(self) -> None:
        super().__init__()
        self.holding = self.most = 0

    def pieces(self) -> Iterator[bytes]:
        self.holding += 1
        self.most = max(self.most, self.holding)
        for number in range(6):
            yield f"line {number}\n".encode() * 20_000
        self.holding -= 1


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_however_many_scrape_at_once_only_one_of_them_holds_all_lines(encoding: str) -> None:
    lines = Large()
    expected = b"".join(lines.pieces())
    lines.most = 0
    async with serving(lines) as url, ClientSession(headers={"Accept-Encoding": encoding}) as session:

        async def scraped() -> bytes:
            async with session.get(f"{url}{scrape.PATH}") as answer:
                return await answer.read()

        assert set(await asyncio.gather(*(scraped() for _ in range(5)))) == {expected}
    assert lines.most == 1


async def test_a_client_that_reads_slowly_does_not_keep_the_lines() -> None:
    lines = [f"line {number}\n".encode() * 200_000 for number in range(6)]
    body = scrape._compressed(lines)
    tracemalloc.start()
    async for chunk in scrape._expanded(body):
        assert len(chunk) <= scrape.CHUNK_BYTES
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * scrape.CHUNK_BYTES < sum(map(len, lines))


async def test_a_replica_that_does_not_lead_is_no_failed_target(served: str, exposition: Exposition) -> None:
    exposition.is_leader = False
    async with ClientSession() as session, session.get(f"{served}{scrape.PATH}") as answer:
        assert answer.status == 200
        assert (await answer.text()).splitlines()[-1] == "session_storage_is_leader 0"


def everything_of(instances: int) -> Exposition:
    exposition = Exposition()
    exposition.is_leader = True
    state = large_state("\n".join([INFO, *(f"cmdstat_{name}:calls=7,usec=77777" for name in TOOLHIVE_COMMANDS)]))
    for number in range(instances // 3):
        storage = replace(state.storage, name=f"storage-{number}")
        exposition.publish(storage.key, "look", lines_of(replace(state, storage=storage)))
        exposition.publish(storage.key, "conditions", condition_lines(storage.key, [READY] * 8))
    return exposition


async def test_the_event_loop_goes_on_while_3000_instances_are_scraped() -> None:
    """The targets are 10 ms for the loop and 500 ms in all.

    These are times of the processor: what else a machine has to do is no matter of this code.
    """
    exposition = everything_of(3000)
    holds, durations, size = [], [], 0
    for _ in range(5):
        pieces, hold, began = [], 0.0, time.process_time()
        iterator = exposition.pieces()
        while True:
            step = time.thread_time()
            if (piece := next(iterator, None)) is None:
                break
            hold = max(hold, time.thread_time() - step)
            pieces.append(piece)
            await asyncio.sleep(0)
        body = await asyncio.to_thread(scrape._compressed, pieces)
        durations.append(time.process_time() - began)
        holds.append(hold)
        size = len(body)
    assert min(holds) <= 0.010
    assert min(durations) <= 0.5
    assert size <= 1_500_000
