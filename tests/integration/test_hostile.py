"""Ten thousand hostile reviews over TLS, to the webhook as a process of its own.

The webhook answers each with a review or with a 4xx status; it may close a connection that does not speak HTTP.
Afterwards it is the same process and no larger, and it has served other clients all the time.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

import aiohttp
import pytest
import yaml

from tests.integration.control_plane import Kubectl
from tests.integration.installation import NAMESPACE, RELEASE
from tests.integration.loopback import free_port
from tests.integration.processes import Process
from tests.integration.storages import read
from tests.support.hostile import JSON, UID, Hostile, Post, good, not_http, review
from webhook.admission.review import MAX_VALUES
from webhook.http.bodies import MAX_HELD_BYTES
from webhook.http.heads import MAX_BODY_BYTES
from webhook.http.listener import MAX_CONNECTIONS, MAX_PER_PEER

ROOT = Path(__file__).parents[2]
REVIEWS = 10_000
SEED = 20261124
AT_ONCE = 8
SLOW_CLIENTS = 50
AT_ONCE_SECONDS = 2.0
"""The webhook answers a good review in a millisecond; this bound allows for a busy machine."""
GROWTH_BYTES = 6 * 2**20
"""Growth allowed from the middle of the run to its end. A review has some 2,000 bytes: a leak of each of the 5,000
would be 10 MB. The bound is not 0, because each large review fragments the heap in another way: seven runs grew by 1.2
to 4.3 MB."""
STEADY_HEAP = {"MALLOC_MMAP_THRESHOLD_": str(2**17), "MALLOC_TRIM_THRESHOLD_": str(2**17)}
"""Environment that has glibc allocate large bodies by mmap, and so return their memory, throughout. By default glibc
raises the threshold after the first ones, and the test would measure how fragmented the heap is (mallopt(3),
M_MMAP_THRESHOLD)."""
LONG_BODIES = 80
"""Clients that each send all but the last byte of the longest body, 320 MiB together."""
MANY_VALUES = 32
"""Clients that at the same time send a review with the most values, and a reference for which the webhook asks the API
server: without a bound, 800 MiB together."""
STRANGERS = 160
"""Clients that connect, say nothing, and come back as soon as they are cut off; one in eight speaks TLS."""
OTHER_FILES = 40
"""Open files besides clients' connections: connections to the API server, listening sockets, the log."""
MEMORY_LIMIT = 256 * 2**20
"""Memory limit of the webhook's container; a test compares it with deploy/chart/values.yaml."""
LOOKS = 10
"""Measurements of the process's size, of which the smallest counts: others may include a large review in progress."""


@pytest.fixture(scope="module")
def webhook(processes: dict[str, Process], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Run a webhook that no other test calls."""
    own = {"HTTP_PORT": str(free_port()), "WEBHOOK_PORT": str(free_port()), **STEADY_HEAP}
    process = Process("webhook", processes["webhook"].environ | own, tmp_path_factory.mktemp("hostile") / "webhook.log")
    process.start()
    process.await_ready()
    yield process
    process.kill()
    assert "traceback" not in process.log.read_text().lower()


@pytest.fixture
def trusting(kubectl: Kubectl, processes: dict[str, Process]) -> ssl.SSLContext:
    secret = read(kubectl, "secret", f"{RELEASE}-webhook-tls", NAMESPACE)
    context = ssl.create_default_context(cadata=base64.b64decode(secret["data"]["ca.crt"]).decode())
    context.check_hostname = False
    return context


class Client:
    """Sends requests and raw bytes to the webhook."""

    def __init__(self, session: aiohttp.ClientSession, port: int, context: ssl.SSLContext) -> None:
        self._session = session
        self._port = port
        self._context = context

    async def send(self, post: Post) -> tuple[int, bytes]:
        """Post; post again if the server closed the connection after the request before, whose body it did not read."""
        try:
            return await self._send(post)
        except aiohttp.ServerDisconnectedError:
            return await self._send(post)

    async def _send(self, post: Post) -> tuple[int, bytes]:
        url = f"https://127.0.0.1:{self._port}"
        # The client library must send exactly what the test asks for, even if it is wrong.
        async with self._session.request(
            post.method,
            url + post.path,
            data=io.BytesIO(post.body),
            headers=post.headers,
            skip_auto_headers=["Content-Type"],
        ) as response:
            return response.status, await response.read()

    async def open(
        self, *, speaks_tls: bool = True, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = self._context if speaks_tls else None
        return await asyncio.open_connection("127.0.0.1", self._port, ssl=context, local_addr=(source, 0))

    async def say(self, what: bytes, *, speaks_tls: bool = True) -> bytes:
        """Send bytes on a new connection, and return the whole answer."""
        reader, writer = await self.open(speaks_tls=speaks_tls)
        try:
            with contextlib.suppress(OSError):
                writer.write(what)
                await writer.drain()
                if not speaks_tls:
                    writer.write_eof()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    return await reader.read()
            return b""
        finally:
            hang_up(writer)


def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection without TLS' closing handshake."""
    writer.transport.abort()
    writer.close()


@pytest.fixture
async def client(webhook: Process, trusting: ssl.SSLContext) -> AsyncIterator[Client]:
    connector = aiohttp.TCPConnector(ssl=trusting, limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Client(session, int(webhook.environ["WEBHOOK_PORT"]), trusting)


def is_answer(status: int, body: bytes) -> bool:
    """Return whether this is a review with an answer, or a status that blames the sender."""
    if status != 200:
        return 400 <= status < 500
    answer = json.loads(body)
    response = answer["response"]
    patch = json.loads(base64.b64decode(response["patch"])) if "patch" in response else [{}]
    return (
        (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        and isinstance(response["uid"], str)
        and isinstance(response["allowed"], bool)
        and (response["allowed"] or bool(response["status"]["message"]))
        and bool(patch)
    )


def resident_bytes(process: Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def open_files(process: Process) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


async def see_a_good_review_answered(client: Client) -> None:
    path, asked = good()[0]
    begun = time.monotonic()
    status, body = await client.send(Post(path, json.dumps(asked).encode()))
    assert status == 200
    assert json.loads(body)["response"] == {"uid": UID, "allowed": True}
    assert time.monotonic() - begun < AT_ONCE_SECONDS


async def test_ten_thousand_hostile_reviews_are_answered_and_forgotten(client: Client, webhook: Process) -> None:
    pid = webhook.pid
    seen: Counter[int] = Counter()
    sizes: list[int] = []
    wrong: list[object] = []
    drawn = Hostile(SEED).posts(REVIEWS)
    large = asyncio.Lock()

    async def work() -> None:
        for post in drawn:
            # One large body at a time; otherwise the test would measure how many happened to meet.
            async with large if len(post.body) > 2**20 else contextlib.nullcontext():
                status, body = await client.send(post)
            seen[status] += 1
            if not is_answer(status, body):
                wrong.append((post, status, body[:200], post.body[:2000]))
            if seen.total() % 100 == 0:
                sizes.append(resident_bytes(webhook))

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    assert not wrong, wrong[:3]
    assert seen.total() == REVIEWS, seen
    assert {200, 400, 404, 405, 415} <= seen.keys()
    await see_a_good_review_answered(client)
    middle = len(sizes) // 2
    growth = min(sizes[-LOOKS:]) - min(sizes[middle : middle + LOOKS])
    assert growth < GROWTH_BYTES, [size // 2**10 for size in sizes]
    assert webhook.pid == pid


async def test_bytes_that_are_not_http_get_a_4xx_or_a_closed_connection(client: Client) -> None:
    heard = await asyncio.gather(*map(client.say, not_http()))
    for what, said in zip(not_http(), heard, strict=True):
        assert all(answer[:1] in b"124" for answer in said.split(b"HTTP/1.1 ")[1:]), (what[:100], said)
    for what in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x00" * 5000, b""):
        assert b"HTTP" not in await client.say(what, speaks_tls=False)
    await see_a_good_review_answered(client)


async def test_slow_clients_keep_nobody_waiting(client: Client, webhook: Process) -> None:
    before = resident_bytes(webhook)
    head = f"POST /mutate/consumers HTTP/1.1\r\nHost: a\r\nContent-Type: {JSON}\r\n".encode()
    beginnings = (
        b"",
        b"POST",
        head,
        head + b"Content-Length: 1000\r\n\r\n{",
        head + b"Transfer-Encoding: chunked\r\n\r\n",
    )
    async with contextlib.AsyncExitStack() as stack:
        for number in range(SLOW_CLIENTS):
            _, writer = await client.open(speaks_tls=number % 10 != 0)
            stack.callback(hang_up, writer)
            writer.write(beginnings[number % len(beginnings)])
        for _ in range(20):
            await see_a_good_review_answered(client)
        assert resident_bytes(webhook) - before < SLOW_CLIENTS * 2**18
    await see_a_good_review_answered(client)


class Watch:
    """Measures the size of a process again and again while the block runs.

    Attributes:
        most: The largest size that it saw, in bytes.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self.most = 0

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()

    async def _look(self) -> None:
        while True:
            self.most = max(self.most, resident_bytes(self._process))
            await asyncio.sleep(0.01)


def test_the_memory_limit_is_the_charts() -> None:
    values = yaml.safe_load((ROOT / "deploy/chart/values.yaml").read_text())
    assert values["webhook"]["resources"]["limits"]["memory"] == f"{MEMORY_LIMIT // 2**20}Mi"


async def test_long_bodies_that_never_end_take_little_memory_and_keep_nobody_waiting(
    client: Client, webhook: Process
) -> None:
    before = resident_bytes(webhook)
    head = f"POST /mutate/consumers HTTP/1.1\r\nHost: a\r\nContent-Type: {JSON}\r\n".encode()

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(head + b"Content-Length: %d\r\n\r\n" % MAX_BODY_BYTES)
        with contextlib.suppress(ConnectionError):
            for _ in range(MAX_BODY_BYTES // 2**16 - 1):
                writer.write(b" " * 2**16)
                await writer.drain()

    async with contextlib.AsyncExitStack() as stack, Watch(webhook) as watch, asyncio.TaskGroup() as group:
        sending, hearing = [], []
        for _ in range(LONG_BODIES):
            reader, writer = await client.open()
            stack.callback(hang_up, writer)
            sending.append(group.create_task(send(writer)))
            hearing.append(asyncio.create_task(reader.read(len("HTTP/1.1 503"))))
        while not all(task.done() for task in sending):
            await see_a_good_review_answered(client)
        for _ in range(20):
            await see_a_good_review_answered(client)
        heard = Counter(task.result() for task in hearing if task.done() and not task.exception())
        for task in hearing:
            task.cancel()
    # The server gives most bodies up for others; the rest, on a slow machine, run into their deadline.
    assert heard[b"HTTP/1.1 503"] >= LONG_BODIES // 2, heard
    assert set(heard) <= {b"HTTP/1.1 503", b"HTTP/1.1 408", b""}
    assert watch.most - before < 2 * MAX_HELD_BYTES
    assert watch.most < 0.75 * MEMORY_LIMIT


async def test_reviews_that_are_small_in_json_and_large_in_memory_stay_within_the_limit(
    client: Client, webhook: Process
) -> None:
    spec = {
        "image": "a",
        "sessionStorageRef": {"name": "any", "namespace": "elsewhere"},
        "unknown": [[]] * (MAX_VALUES // 2 - 1000),
    }
    forged = {"kind": "MCPServer", "metadata": {"name": "srv", "namespace": "default"}, "spec": spec}
    body = json.dumps(review(forged), separators=(",", ":")).encode()

    async def send() -> int:
        reader, writer = await client.open()
        try:
            head = f"POST /mutate/consumers HTTP/1.1\r\nHost: a\r\nContent-Type: {JSON}\r\n".encode()
            writer.write(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return int((await reader.read()).split()[1])
        finally:
            hang_up(writer)

    async with Watch(webhook) as watch:
        seen = Counter(await asyncio.gather(*(send() for _ in range(MANY_VALUES))))
        await see_a_good_review_answered(client)
    assert set(seen) <= {200, 503}
    assert watch.most < 0.9 * MEMORY_LIMIT


async def test_one_address_takes_no_more_than_its_share_of_connections(client: Client, webhook: Process) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            _, writer = await client.open(speaks_tls=False, source="127.0.0.9")
            stack.callback(hang_up, writer)
        await see_a_good_review_answered(client)
        assert open_files(webhook) < MAX_PER_PEER + OTHER_FILES
    await see_a_good_review_answered(client)


async def test_idle_strangers_take_neither_a_place_from_clients_that_ask_nor_memory(
    client: Client, webhook: Process, trusting: ssl.SSLContext
) -> None:
    async def call_again_and_again(source: str, *, speaks_tls: bool) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await client.open(speaks_tls=speaks_tls, source=source)
                try:
                    await reader.read()
                finally:
                    hang_up(writer)

    await see_a_good_review_answered(client)
    async with Watch(webhook) as watch:
        strangers = [
            asyncio.create_task(call_again_and_again(f"127.0.0.{2 + number % 4}", speaks_tls=number % 8 == 0))
            for number in range(STRANGERS)
        ]
        while open_files(webhook) < MAX_CONNECTIONS:  # noqa: ASYNC110 - another process opens them
            await asyncio.sleep(0.01)
        for _ in range(20):
            await see_a_good_review_answered(client)
            # Others may connect too; the webhook admits waiting clients in the order in which they came.
            connector = aiohttp.TCPConnector(ssl=trusting)
            async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5)) as session:
                newcomer = Client(session, int(webhook.environ["WEBHOOK_PORT"]), trusting)
                path, asked = good()[0]
                assert (await newcomer.send(Post(path, json.dumps(asked).encode())))[0] == 200
            assert open_files(webhook) < MAX_CONNECTIONS + OTHER_FILES
        for stranger in strangers:
            stranger.cancel()
        await asyncio.gather(*strangers, return_exceptions=True)
    assert watch.most < 0.75 * MEMORY_LIMIT
    await see_a_good_review_answered(client)
