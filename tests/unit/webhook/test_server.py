"""The server over real TLS: every body gets an answer, and no body makes it answer a 5xx."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import io
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.consumers.targets import Target
from shared.session_storage.allowed_hosts import AllowedHosts
from tests.support.logged import logged
from tests.support.serving import NAMES, serving_certificate
from webhook import server
from webhook.admission import consumers, session_storages
from webhook.admission.review import AdmissionRequest, Allow, Decision, Deny
from webhook.http import heads
from webhook.http.listener import Listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


JSON = {"Content-Type": "application/json"}
ANSWER_SECONDS = 5.0
SERVERS = "/mutate/consumers"
STORAGES = "/mutate/sessionstorages"
LATE = "/late"
BROKEN = "/broken"
MCP_SERVER = {
    "apiVersion": "toolhive.stacklok.dev/v1beta1",
    "kind": "MCPServer",
    "metadata": {"name": "my-server", "namespace": "default"},
    "spec": {"image": "my-mcp:latest", "sessionStorageRef": "dev-storage"},
}


def review(obj: Any, **request: Any) -> bytes:
    asked = {"uid": "42", "operation": "CREATE", "namespace": "default", "object": obj, **request}
    return orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked})


async def store(request: AdmissionRequest) -> Decision:
    return session_storages.decide(request, AllowedHosts())


async def consume(request: AdmissionRequest) -> Decision:
    return consumers.decide(consumers.ConsumerWrite.of(request), {}, Target.ALL)


async def late(_: AdmissionRequest) -> Decision:
    await asyncio.sleep(0)
    return Deny(("late",))


async def broken(_: AdmissionRequest) -> Decision:
    raise ZeroDivisionError


class Webhook:
    def __init__(self, session: aiohttp.ClientSession, listener: Listener) -> None:
        self.session = session
        self.listener = listener

    async def post(self, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
        async with self.session.post(path, data=io.BytesIO(body), headers={**JSON, **headers}) as response:
            return response.status, await response.read()

    async def answer(self, path: str, body: bytes) -> Any:
        status, content = await self.post(path, body)
        assert status == 200
        return orjson.loads(content)["response"]


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    certificate, trusting = serving_certificate()
    reviews = server.Server({STORAGES: store, SERVERS: consume, LATE: late, BROKEN: broken})
    listener = Listener(reviews.answer, ANSWER_SECONDS)
    async with listener.serving(0, certificate.context, host="127.0.0.1") as port:
        connector = aiohttp.TCPConnector(ssl=trusting, resolver=Loopback())
        async with aiohttp.ClientSession(f"https://{NAMES[0]}:{port}", connector=connector) as session:
            yield Webhook(session, listener)


class Loopback(AbstractResolver):
    """Resolves every name to this machine, so that clients can verify the name in the certificate."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        found = ResolveResult(
            hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
        )
        return [found]

    async def close(self) -> None:
        pass


async def test_a_consumer_is_patched(webhook: Webhook) -> None:
    response = await webhook.answer(SERVERS, review(MCP_SERVER))
    assert (response["uid"], response["allowed"], response["patchType"]) == ("42", True, "JSONPatch")
    paths = [operation["path"] for operation in orjson.loads(base64.b64decode(response["patch"]))]
    assert paths == [
        "/metadata/annotations",
        "/spec/podTemplateSpec",
        "/spec/resourceOverrides",
        "/spec/sessionStorage",
    ]


async def test_a_bad_storage_is_refused_with_its_message(webhook: Webhook) -> None:
    response = await webhook.answer(STORAGES, review({"metadata": {"name": "x"}, "spec": {"size": "huge"}}))
    assert not response["allowed"]
    assert response["status"]["message"] == (
        'spec.size: Unsupported value: "huge": supported values: "small", "medium", "large"'
    )


@pytest.mark.parametrize("path", [SERVERS, STORAGES])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="empty"),
        pytest.param(b"\x00\xff" * 1000, 400, id="bytes"),
        pytest.param(b'{"a":' * 5000, 400, id="half a JSON"),
        pytest.param(b"{}", 400, id="no review"),
        pytest.param(review(None, uid=None), 400, id="no uid"),
        pytest.param(review(7), 400, id="object is a number"),
        pytest.param(review(None), 200, id="no object"),
        pytest.param(review({"metadata": {}}), 200, id="empty object"),
        pytest.param(review({"metadata": {}, "spec": "x" * 3_000_000}), 200, id="3 MB of text"),
        pytest.param(review({"metadata": {"annotations": [1]}, "spec": [[]]}), 200, id="arrays for objects"),
        pytest.param(b" " * (heads.MAX_BODY_BYTES + 1), 413, id="too large"),
        pytest.param(review({"metadata": {}, "spec": [[]] * 150_000}), 400, id="too many values"),
    ],
)
async def test_hostile_bodies_are_answered(webhook: Webhook, path: str, body: bytes, status: int) -> None:
    assert (await webhook.post(path, body))[0] == status


@pytest.mark.parametrize("path", [SERVERS, STORAGES])
async def test_a_body_that_is_nested_too_deeply_gets_a_4xx(webhook: Webhook, path: str) -> None:
    deep = b"[" * 900 + b"]" * 900
    spec = b'{"sessionStorageRef":"s","size":' + deep + b',"sessionStorage":{"passwordRef":' + deep + b"}}"
    request = b'{"uid":"1","operation":"UPDATE","object":{"kind":"MCPServer","metadata":{},"spec":%s},' % spec
    request += b'"oldObject":{"kind":"MCPServer","metadata":{},"spec":%s}}' % spec
    body = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":%s}' % request
    assert (await webhook.post(path, body))[0] in {200, 400}


async def test_other_types_of_content_are_refused(webhook: Webhook) -> None:
    assert (await webhook.post(SERVERS, review(MCP_SERVER), **{"Content-Type": "text/plain"}))[0] == 415
    assert (await webhook.post(SERVERS, b"no gzip", **{"Content-Encoding": "gzip"}))[0] == 415


async def test_compressed_bodies_are_refused(webhook: Webhook) -> None:
    body = gzip.compress(review(MCP_SERVER))
    assert (await webhook.post(SERVERS, body, **{"Content-Encoding": "gzip"}))[0] == 415


async def test_bad_http_is_answered_and_not_logged(webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    async with webhook.session.post(SERVERS, headers={"X-Long": "x" * 20_000}) as response:
        assert response.status == 431
    assert caplog.text == ""


async def test_only_reviews_are_served(webhook: Webhook) -> None:
    assert (await webhook.post("/mutate/pods", review(MCP_SERVER)))[0] == 404
    async with webhook.session.get(SERVERS) as response:
        assert response.status == 405


async def test_a_refused_review_cannot_fill_the_log(webhook: Webhook) -> None:
    large = "x" * 100_000
    body = review({"metadata": {"name": large}}, uid=large, operation=large, namespace=large)
    with logged(process="webhook") as log:
        assert not (await webhook.answer(LATE, body))["allowed"]
    (line,) = log.with_message("refused a review")
    assert line["object"] == "x" * 320
    assert len(log.text) < 1500


async def test_connections_are_kept_until_draining(webhook: Webhook) -> None:
    async with webhook.session.post(SERVERS, data=review(MCP_SERVER), headers=JSON) as response:
        assert "Connection" not in response.headers
    webhook.listener.is_draining = True
    async with webhook.session.post(SERVERS, data=review(MCP_SERVER), headers=JSON) as response:
        assert response.status == 200
        assert response.headers["Connection"] == "close"


async def test_the_server_waits_for_decisions_that_need_a_look_up(webhook: Webhook) -> None:
    assert (await webhook.answer(LATE, review(MCP_SERVER)))["status"]["message"] == "late"


async def test_a_refusal_has_a_line_with_its_reason_and_without_the_authors_words(webhook: Webhook) -> None:
    external = {"url": "http://me:hunter2@redis.example.com"}
    refused = {"metadata": {"name": "mine", "namespace": "team"}, "spec": {"external": external}}
    with logged(process="webhook") as log:
        await webhook.answer(STORAGES, review(refused, namespace="team"))
        await webhook.answer(SERVERS, review(MCP_SERVER))
    (line,) = log.lines
    assert line.pop("seconds") >= 0
    assert {name: line[name] for name in ("message", "path", "review", "operation", "object", "reason")} == {
        "message": "refused a review",
        "path": STORAGES,
        "review": "42",
        "operation": "CREATE",
        "object": "team/mine",
        "reason": "Invalid",
    }
    assert "hunter2" not in log.text


async def test_a_bug_is_answered_and_logged_once(webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    status, body = await webhook.post(BROKEN, review(MCP_SERVER))
    assert (status, body) == (500, b"the review could not be decided\n")
    (record,) = caplog.records
    assert record.exc_info
    assert (await webhook.post(SERVERS, review(MCP_SERVER)))[0] == 200


async def test_a_server_that_stops_gives_the_answers_that_it_owes() -> None:
    certificate, trusting = serving_certificate()
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def decide(_: AdmissionRequest) -> Decision:
        asked.set()
        await may_answer.wait()
        return Allow()

    connector = aiohttp.TCPConnector(ssl=trusting, resolver=Loopback())
    async with aiohttp.ClientSession(connector=connector) as session:
        async with Listener(server.Server({LATE: decide}).answer, ANSWER_SECONDS).serving(
            0, certificate.context, host="127.0.0.1"
        ) as port:
            url = f"https://{NAMES[0]}:{port}{LATE}"
            posting = asyncio.create_task(session.post(url, data=review(MCP_SERVER), headers=JSON))
            await asked.wait()
            asyncio.get_running_loop().call_soon(may_answer.set)
        async with await posting as response:
            assert response.status == 200
            assert response.headers["Connection"] == "close"
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.post(url)


async def test_an_idle_client_does_not_keep_a_server_from_stopping() -> None:
    certificate, trusting = serving_certificate()
    async with Listener(server.Server({}).answer, 0.1).serving(0, certificate.context, host="127.0.0.1") as port:
        opened = [
            await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=NAMES[0]) for _ in range(2)
        ]
        opened[0][1].write(b"POST")
        await opened[0][1].drain()
    for reader, writer in opened:
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.transport.abort()
