"""An API server in memory behind real HTTP on the loopback interface: it counts, and it can be slow or refuse."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from shared import errors
from shared.kubernetes.client import APPLY, JSON_PATCH, Cluster, Selector
from shared.kubernetes.transport import Transport
from shared.objects import resources
from shared.objects.resources import Object, Resource
from tests.support.fakes import FakeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_RESOURCES: Final = {(each.group, each.plural): each for each in vars(resources).values() if isinstance(each, Resource)}
_STATUS: Final = {errors.NotFound: 404, errors.AlreadyExists: 409, errors.Conflict: 409, errors.Rejected: 422}


class HttpApi:
    """Serves what a `FakeApi` stores.

    Attributes:
        objects: What is stored.
        calls: How often each `verb plural` was asked for, without watches.
        watches: How many watches of each plural are open.
        meddle: Called before each call with `verb plural`; its answer, if there is one, is the server's.
    """

    def __init__(self) -> None:
        self.objects = FakeApi()
        self.calls: Counter[str] = Counter()
        self.watches: Counter[str] = Counter()
        self.meddle: Callable[[str], Awaitable[web.Response | None]] = _let_pass
        self.changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Callable[[], Cluster]]:
        """Serve, and hand out what makes connections to the server."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        async with contextlib.AsyncExitStack() as stack:
            server = await stack.enter_async_context(TestServer(app))
            made: list[Cluster] = []

            def connect() -> Cluster:
                configuration = Configuration(host=str(server.make_url("")).rstrip("/"))
                made.append(Cluster(Transport(configuration, "tests")))
                return made[-1]

            try:
                yield connect
            finally:
                for cluster in made:
                    await cluster.__aexit__()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something holds that only calls change."""
        async with asyncio.timeout(20):
            while not is_so():
                self.changed.clear()
                await self.changed.wait()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        resource, namespace, name, subresource = _address(request.path)
        if request.query.get("watch"):
            return await self._watch(request, resource, _selector(request, namespace))
        verb = "LIST" if request.method == "GET" and not name else request.method
        what = f"{verb} {resource.plural}"
        self.calls[what] += 1
        self.changed.set()
        if answer := await self.meddle(what):
            return answer
        body = json.loads(await request.read() or b"null")
        try:
            if verb == "LIST":
                items, version = await self.objects.list_all(resource, _selector(request, namespace))
                return web.json_response({"items": items, "metadata": {"resourceVersion": version}})
            answered = await self._do(verb, request.content_type, resource, (namespace, name, subresource), body)
        except errors.ClusterError as error:
            return web.json_response({"message": str(error)}, status=_STATUS.get(type(error), 500))
        return web.json_response(answered)

    async def _do(self, verb: str, kind: str, resource: Resource, at: tuple[str, str, str], body: Any) -> Object:
        namespace, name, subresource = at
        match verb:
            case "GET":
                return await self.objects.get(resource, namespace, name)
            case "POST":
                return await self.objects.create(resource, body)
            case "PUT":
                return await self.objects.replace(resource, body, subresource=subresource)
            case "PATCH" if kind == APPLY:
                return await self.objects.apply(resource, body, field_manager="tests", subresource=subresource)
            case "PATCH":
                assert kind == JSON_PATCH
                return await self.objects.patch(resource, namespace, name, body, field_manager="tests")
            case _:
                await self.objects.delete(resource, namespace, name)
                return {}

    async def _watch(self, request: web.Request, resource: Resource, selector: Selector) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.watches[resource.plural] += 1
        self.changed.set()
        try:
            async for event in self.objects.watch(resource, selector, request.query["resourceVersion"]):
                await response.write(json.dumps(event).encode() + b"\n")
        finally:
            self.watches[resource.plural] -= 1
        return response


async def _let_pass(_: str) -> None:
    return None


def _selector(request: web.Request, namespace: str) -> Selector:
    labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
    return Selector(namespace, labels, fields, versions_only="PartialObjectMetadata" in request.headers["Accept"])


def _address(path: str) -> tuple[Resource, str, str, str]:
    """Split `/api/v1/...` or `/apis/GROUP/VERSION/...` into resource, namespace, name and subresource."""
    parts = path.strip("/").split("/")
    group, rest = (parts[1], parts[3:]) if parts[0] == "apis" else ("", parts[2:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    return _RESOURCES[group, plural], namespace, name, subresource
