"""The edge to the API server, against an HTTP server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientTimeout, web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from shared import errors
from shared.kubernetes import transport
from shared.kubernetes.client import EVERYTHING, Cluster, Selector
from shared.kubernetes.transport import Transport
from shared.objects.resources import CRDS, SECRETS, Object

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET: Object = {"metadata": {"namespace": "team", "name": "a"}, "data": {}}


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Cluster]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        configuration = Configuration(host=str(server.make_url("")).rstrip("/"))
        async with Cluster(Transport(configuration, "tests")) as cluster:
            yield cluster


def answering(status: int, body: str, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers=headers)

    return handler


async def fails(handler: Handler) -> errors.ClusterError:
    async with serving(handler) as cluster:
        with pytest.raises(errors.ClusterError) as caught:
            await cluster.get(SECRETS, "team", "a")
    return caught.value


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.Rejected),
        (401, errors.Forbidden),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (405, errors.Rejected),
        (409, errors.Conflict),
        (410, errors.Expired),
        (413, errors.Rejected),
        (422, errors.Rejected),
        (418, errors.Unavailable),
        (429, errors.Unavailable),
        (500, errors.Unavailable),
        (503, errors.Unavailable),
        (504, errors.Unavailable),
    ],
)
async def test_each_status_becomes_one_error_with_the_servers_words(
    status: int, error: type[errors.ClusterError]
) -> None:
    body = json.dumps({"kind": "Status", "reason": "Why", "message": "how come"})
    caught = await fails(answering(status, body))
    assert type(caught) is error
    assert str(caught) == f"{status} Why: how come"


async def test_a_resource_version_that_the_server_has_not_reached_means_a_new_list() -> None:
    """This happens after a restore from a backup; a client that waited for the version would miss all events."""
    body = json.dumps({"reason": "Timeout", "message": "Too large resource version: 99, current: 7"})
    assert type(await fails(answering(504, body))) is errors.Expired


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("Invalid", 'data: Invalid value: "hunter2"'),
        ("Forbidden", 'admission webhook "x" denied the request: hunter2'),
        ("BadRequest", "policy denied: hunter2"),
    ],
)
async def test_an_error_about_a_secret_does_not_repeat_what_is_in_it(reason: str, message: str) -> None:
    async with serving(answering(422, json.dumps({"reason": reason, "message": message}))) as cluster:
        with pytest.raises(errors.Rejected) as caught:
            await cluster.apply(SECRETS, SECRET, field_manager="test")
        assert "hunter2" not in str(caught.value)
        assert reason in str(caught.value)
        with pytest.raises(errors.Rejected, match="hunter2"):
            await cluster.apply(CRDS, {"metadata": {"name": "x.y"}}, field_manager="test")


async def test_a_plain_refusal_about_a_secret_is_passed_on() -> None:
    caught = await fails(answering(403, json.dumps({"reason": "Forbidden", "message": "may not get secrets"})))
    assert "may not get secrets" in str(caught)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", None), ("soon", None), ("-1", None)])
async def test_the_error_has_the_pause_that_the_server_asks_for(header: str, seconds: float | None) -> None:
    caught = await fails(answering(429, "{}", **({"Retry-After": header} if header else {})))
    assert isinstance(caught, errors.Unavailable)
    assert caught.retry_after_seconds == seconds


@pytest.mark.parametrize("body", ["<html>bad gateway</html>", "", '"text"', "[1]", "null", "\xff"])
async def test_an_error_of_a_proxy_in_front_is_still_an_error(body: str) -> None:
    assert isinstance(await fails(answering(502, body)), errors.Unavailable)


@pytest.mark.parametrize("body", ["<html>log in</html>", "", '"text"', "[1]", "null"])
async def test_a_success_without_an_object_counts_as_unavailable(body: str) -> None:
    assert isinstance(await fails(answering(200, body)), errors.Unavailable)


async def test_a_long_foreign_page_does_not_fill_the_log() -> None:
    assert len(str(await fails(answering(500, "x" * 100_000)))) < 300


async def test_a_taken_name_is_told_from_a_lost_race() -> None:
    async with serving(answering(409, "{}")) as cluster:
        with pytest.raises(errors.AlreadyExists):
            await cluster.create(SECRETS, SECRET)
        with pytest.raises(errors.Conflict):
            await cluster.replace(SECRETS, SECRET)


async def test_deleting_what_is_gone_is_fine() -> None:
    async with serving(answering(404, "{}")) as cluster:
        await cluster.delete(SECRETS, "team", "a")


async def test_a_connection_that_breaks_is_unavailable() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    caught = await fails(handler)
    assert isinstance(caught, errors.Unavailable)
    assert "/api/v1/namespaces/team/secrets/a" in str(caught)


async def test_a_port_that_nobody_listens_on_is_unavailable() -> None:
    async with Cluster(Transport(Configuration(host="http://127.0.0.1:1"), "tests")) as cluster:
        with pytest.raises(errors.Unavailable):
            await cluster.get(SECRETS, "team", "a")


async def test_a_body_that_breaks_off_is_unavailable() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"metadata"')
        assert request.transport is not None
        request.transport.close()
        return response

    assert isinstance(await fails(handler), errors.Unavailable)


async def test_an_answer_that_never_comes_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "REQUEST_TIMEOUT_SECONDS", 0.05)
    asked = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        await asked.wait()
        return web.Response()

    async with serving(handler) as cluster:
        with pytest.raises(errors.Unavailable, match="TimeoutError"):
            await cluster.get(SECRETS, "team", "a")
        asked.set()


class Recorded:
    """Answers every request with an object, and keeps the requests."""

    def __init__(self, *pages: Object) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[object] = []
        self.types: list[str] = []
        self._pages = list(pages)
        self.answer = "{}"

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path, dict(request.query)))
        self.types.append(request.content_type)
        body = await request.read()
        self.bodies.append(json.loads(body) if body else None)
        assert request.headers["User-Agent"] == "tests"
        return web.json_response(text=json.dumps(self._pages.pop(0)) if self._pages else self.answer)


async def test_each_call_asks_for_what_its_name_says() -> None:
    server = Recorded()
    async with serving(server.handle) as cluster:
        await cluster.get(CRDS, "", "x.y")
        await cluster.create(SECRETS, SECRET)
        await cluster.replace(SECRETS, SECRET, subresource="status")
        await cluster.apply(SECRETS, SECRET, field_manager="ours", subresource="status")
        await cluster.patch(SECRETS, "team", "a", [{"op": "remove", "path": "/data"}], field_manager="test")
        await cluster.delete(SECRETS, "team", "a", uid="u1")
        await cluster.delete(SECRETS, "team", "a")
        await cluster.delete(SECRETS, "team", "a", uid="u1", keeps_dependents=True)
    path = "/api/v1/namespaces/team/secrets"
    assert server.requests == [
        ("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x.y", {}),
        ("POST", path, {}),
        ("PUT", f"{path}/a/status", {}),
        ("PATCH", f"{path}/a/status", {"fieldManager": "ours", "force": "true"}),
        ("PATCH", f"{path}/a", {"fieldManager": "test"}),
        *[("DELETE", f"{path}/a", {})] * 3,
    ]
    typed = {"apiVersion": "v1", "kind": "Secret", **SECRET}
    operations = [{"op": "remove", "path": "/data"}]
    this_one = {"preconditions": {"uid": "u1"}}
    deletions = [this_one, {}, {**this_one, "propagationPolicy": "Orphan"}]
    assert server.bodies == [None, typed, typed, typed, operations, *deletions]
    assert server.types[3:5] == ["application/apply-patch+yaml", "application/json-patch+json"]


async def test_a_replacement_says_nothing_of_the_managers_of_fields() -> None:
    """Caches trim them; a trimmed list would take fields away from whoever owns them."""
    server, managed = Recorded({}), {**SECRET["metadata"], "managedFields": [{"manager": "kubectl"}]}
    async with serving(server.handle) as cluster:
        await cluster.replace(SECRETS, {**SECRET, "metadata": managed})
    assert server.bodies == [{"apiVersion": "v1", "kind": "Secret", **SECRET}]


async def test_a_list_is_read_page_by_page() -> None:
    one, two = {"metadata": {"name": "1"}}, {"metadata": {"name": "2"}}
    server = Recorded(
        {"metadata": {"continue": "more", "resourceVersion": "9"}, "items": [one]},
        {"metadata": {"resourceVersion": "9"}, "items": [two]},
    )
    async with serving(server.handle) as cluster:
        found = await cluster.list_all(SECRETS, Selector("team", labels="a=b", fields="metadata.name=x"))
    assert found == ([one, two], "9")
    query = {"labelSelector": "a=b", "fieldSelector": "metadata.name=x", "limit": "500"}
    assert [asked for _, _, asked in server.requests] == [query, query | {"continue": "more"}]


async def test_an_empty_list_may_say_null() -> None:
    async with serving(Recorded({"metadata": {"resourceVersion": "9"}, "items": None}).handle) as cluster:
        assert await cluster.list_all(SECRETS) == ([], "9")


def streaming(*chunks: bytes, breaks_off: bool = False) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0)
        if breaks_off:
            assert request.transport is not None
            request.transport.close()
        return response

    return handler


def line(number: int, text: str = "") -> bytes:
    return json.dumps(
        {"type": "ADDED", "object": {"metadata": {"name": text, "resourceVersion": str(number)}}}
    ).encode()


async def watched(handler: Handler) -> tuple[list[Object], errors.ClusterError | None]:
    """Follow a watch, and return its events and the error that ended it."""
    events: list[Object] = []
    async with serving(handler) as cluster:
        watch = cluster.watch(SECRETS, EVERYTHING, "10")
        try:
            while event := await anext(watch, None):
                events.append(event)
        except errors.ClusterError as error:
            return events, error
    return events, None


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
async def test_events_may_be_cut_anywhere(size: int) -> None:
    text = b"\n".join([line(1, "naïve ☃"), b"", line(2), line(3, "x" * 3000), b""])
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    events, error = await watched(streaming(*chunks))
    assert error is None
    assert [event["object"]["metadata"]["resourceVersion"] for event in events] == ["1", "2", "3"]
    assert events[0]["object"]["metadata"]["name"] == "naïve ☃"


async def test_half_an_event_at_the_end_of_a_watch_is_no_event() -> None:
    events, error = await watched(streaming(line(1) + b"\n" + line(2)[:20]))
    assert (len(events), error) == (1, None)


async def test_an_event_of_two_mebibytes_arrives() -> None:
    events, _ = await watched(streaming(line(1, "x" * 2 * 1024 * 1024) + b"\n"))
    assert len(events[0]["object"]["metadata"]["name"]) == 2 * 1024 * 1024


@pytest.mark.parametrize(
    ("code", "expected"), [(410, errors.Expired), (500, errors.Unavailable), (429, errors.Unavailable)]
)
async def test_an_error_event_ends_the_watch_with_that_error(code: int, expected: type[errors.ClusterError]) -> None:
    status = {"kind": "Status", "code": code, "reason": "Expired", "message": "too old resource version"}
    text = line(1) + b"\n" + json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    events, error = await watched(streaming(text))
    assert (len(events), type(error)) == (1, expected)


async def test_a_line_that_is_no_json_ends_the_watch() -> None:
    events, error = await watched(streaming(line(1) + b"\n<html>\n"))
    assert (len(events), type(error)) == (1, errors.Unavailable)


async def test_a_watch_that_breaks_off_is_unavailable() -> None:
    events, error = await watched(streaming(line(1) + b"\n", breaks_off=True))
    assert (len(events), type(error)) == (1, errors.NoAnswer)


async def test_a_silent_watch_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_STREAM", ClientTimeout(total=None, sock_read=0.05))
    over = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await over.wait()
        return response

    async with serving(handler) as cluster:
        with pytest.raises(errors.Unavailable):
            await anext(cluster.watch(SECRETS, EVERYTHING, "10"))
        over.set()


async def test_a_refused_watch_says_why() -> None:
    _, error = await watched(answering(410, json.dumps({"reason": "Gone", "message": "too old"})))
    assert isinstance(error, errors.Expired)


async def test_a_watch_asks_for_bookmarks_and_an_end() -> None:
    server = Recorded()
    server.answer = ""
    async with serving(server.handle) as cluster:
        told = [event async for event in cluster.watch(SECRETS, Selector("team", labels="a=b"), "10")]
    assert told == []
    assert server.requests == [
        (
            "GET",
            "/api/v1/namespaces/team/secrets",
            {
                "labelSelector": "a=b",
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": "10",
                "timeoutSeconds": "300",
            },
        )
    ]


async def test_who_asks_for_versions_gets_nothing_of_what_is_in_a_secret() -> None:
    accepted: list[str] = []
    version = {"namespace": "team", "name": "a", "uid": "u", "resourceVersion": "7"}
    obj: Object = {"metadata": {**version, "annotations": {"a": "b"}}, "data": {"password": "c2VjcmV0"}}

    async def handler(request: web.Request) -> web.Response:
        accepted.append(request.headers["Accept"])
        if request.query.get("watch"):
            return web.Response(text=json.dumps({"type": "ADDED", "object": obj}) + "\n")
        return web.json_response({"items": [obj], "metadata": {"resourceVersion": "9"}})

    selector = Selector(versions_only=True)
    async with serving(handler) as cluster:
        assert await cluster.list_all(SECRETS, selector) == ([{"metadata": version}], "9")
        events = [event async for event in cluster.watch(SECRETS, selector, "9")]
    assert events == [{"type": "ADDED", "object": {"metadata": version}}]
    assert accepted == [
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    ]


async def test_a_kubeconfig_that_cannot_be_used_is_an_invalid_setting(tmp_path: Path) -> None:
    broken = tmp_path / "kubeconfig"
    broken.write_text("contexts: []")
    for path in (broken, tmp_path / "absent"):
        with pytest.raises(errors.InvalidSettings, match="no way to reach a Kubernetes API"):
            await Cluster.connect(user_agent="tests", kubeconfig=str(path))


async def test_the_client_takes_address_and_token_from_a_kubeconfig(tmp_path: Path) -> None:
    tokens: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization"))
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    path = tmp_path / "kubeconfig"
    async with TestServer(app) as server:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": str(server.make_url("")).rstrip("/")}}],
            "users": [{"name": "u", "user": {"token": "t0ken"}}],
        }
        path.write_text(json.dumps(config))
        async with await Cluster.connect(user_agent="tests", kubeconfig=str(path)) as cluster:
            await cluster.get(SECRETS, "team", "a")
    assert tokens == ["Bearer t0ken"]


@pytest.mark.parametrize("status", [200, 404])
async def test_every_answer_updates_the_servers_clock(status: int) -> None:
    async with serving(answering(status, json.dumps(SECRET), Date="Tue, 24 Nov 2020 22:00:00 GMT")) as cluster:
        with contextlib.suppress(errors.NotFound):
            await cluster.get(SECRETS, "team", "a")
        assert timedelta(0) <= cluster.clock.now() - datetime(2020, 11, 24, 22, tzinfo=UTC) < timedelta(minutes=1)


@contextlib.asynccontextmanager
async def proxy(status: str = "200 OK") -> AsyncIterator[tuple[str, list[str]]]:
    """Run a proxy that answers itself; yield its host with port, and the first line of each request."""
    lines: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines.append(head.splitlines()[0])
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}", lines


@pytest.fixture(name="environment")
def environment_fixture(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


GET_BY_PROXY = "GET http://api.invalid/api/v1/namespaces/team/secrets/a HTTP/1.1"


async def test_the_proxy_of_the_configuration_is_used_whatever_the_environment_says(
    environment: pytest.MonkeyPatch,
) -> None:
    async with proxy() as (address, lines):
        environment.setenv("NO_PROXY", "api.invalid")
        configuration = Configuration(host="http://api.invalid", proxy=f"http://{address}")
        async with Cluster(Transport(configuration, "tests")) as cluster:
            assert await cluster.get(SECRETS, "team", "a") == {}
    assert lines == [GET_BY_PROXY]


async def test_the_client_takes_a_proxy_from_a_kubeconfig(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    del environment  # only cleared
    path = tmp_path / "kubeconfig"
    async with proxy() as (address, lines):
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": "http://api.invalid", "proxy-url": f"http://{address}"}}],
            "users": [{"name": "u", "user": {}}],
        }
        path.write_text(json.dumps(config))
        async with await Cluster.connect(user_agent="tests", kubeconfig=str(path)) as cluster:
            await cluster.get(SECRETS, "team", "a")
    assert lines == [GET_BY_PROXY]


async def test_the_proxy_of_the_environment_is_used(environment: pytest.MonkeyPatch) -> None:
    async with proxy() as (address, lines):
        environment.setenv("HTTP_PROXY", f"http://{address}")
        environment.setenv("NO_PROXY", "elsewhere.invalid")
        async with Cluster(Transport(Configuration(host="http://api.invalid"), "tests")) as cluster:
            await cluster.get(SECRETS, "team", "a")
    assert lines == [GET_BY_PROXY]


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "elsewhere.invalid, 127.0.0.0/8"])
async def test_exempt_hosts_bypass_the_proxy_of_the_environment(environment: pytest.MonkeyPatch, exempt: str) -> None:
    server = Recorded()
    async with proxy() as (address, lines):
        environment.setenv("HTTP_PROXY", f"http://{address}")
        environment.setenv("NO_PROXY", exempt)
        async with serving(server.handle) as cluster:
            await cluster.get(SECRETS, "team", "a")
    assert lines == []
    assert len(server.requests) == 1


async def test_a_network_exempts_no_server_outside_it(environment: pytest.MonkeyPatch) -> None:
    async with proxy() as (address, lines):
        environment.setenv("HTTP_PROXY", f"http://{address}")
        environment.setenv("NO_PROXY", "10.0.0.0/8,fd00::/8")
        async with Cluster(Transport(Configuration(host="http://11.0.0.1"), "tests")) as cluster:
            await cluster.get(SECRETS, "team", "a")
    assert lines == ["GET http://11.0.0.1/api/v1/namespaces/team/secrets/a HTTP/1.1"]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_is_unavailable_and_its_password_is_not_shown(
    environment: pytest.MonkeyPatch, scheme: str
) -> None:
    del environment  # only cleared
    async with proxy("407 Proxy Authentication Required") as (address, lines):
        configuration = Configuration(host=f"{scheme}://api.invalid", proxy=f"http://us:hunter2@{address}")
        async with Cluster(Transport(configuration, "tests")) as cluster:
            with pytest.raises(errors.Unavailable) as caught:
                await cluster.get(SECRETS, "team", "a")
    assert len(lines) == 1
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("port", [1, 99_999], ids=["nobody listens", "no such port"])
async def test_a_proxy_that_cannot_be_reached_is_unavailable_and_its_password_is_not_shown(
    environment: pytest.MonkeyPatch, port: int
) -> None:
    del environment  # only cleared
    configuration = Configuration(host="https://api.invalid", proxy=f"http://us:hunter2@127.0.0.1:{port}")
    async with Cluster(Transport(configuration, "tests")) as cluster:
        with pytest.raises(errors.Unavailable) as caught:
            await cluster.get(SECRETS, "team", "a")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://10.96.0.1:443", "10.96.0.1"),
        ("https://[fd00::1]:443", "fd00::1"),
        ("https://API.example.com/k8s/clusters/c", "api.example.com"),
    ],
)
async def test_the_host_of_the_api_server_is_known(url: str, host: str) -> None:
    async with Cluster(Transport(Configuration(host=url), "tests")) as cluster:
        assert cluster.host == host
