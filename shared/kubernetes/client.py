"""Calls the Kubernetes API. No other module imports the official client.

The client contributes what is hard to get right: configuration and token refresh. Requests carry raw JSON, because
generated models take ten times the time, drop unknown fields and have no bookmarks for custom resources.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import orjson
from kubernetes.aio import config as client_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException

from shared import errors, tls
from shared.kubernetes import responses
from shared.kubernetes.proxy import proxy_for
from shared.kubernetes.server_clock import ServerClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from shared.objects.resources import Object, Resource

REQUEST_TIMEOUT_SECONDS: Final = 30.0
WATCH_SECONDS: Final = 300
"""Duration of one watch; the API server ends it, and the informer starts the next where it ended."""
WATCH_SILENCE_SECONDS: Final = 90.0
"""Bookmarks come about once a minute: more silence than this means a dead connection."""
LIST_PAGE: Final = 500
APPLY: Final = "application/apply-patch+yaml"
JSON_PATCH: Final = "application/json-patch+json"
JSON: Final = "application/json"

# The client's loaders carry no annotations.
_load_incluster_config: Callable[..., None] = client_config.load_incluster_config
_load_kube_config: Callable[..., Awaitable[object]] = client_config.load_kube_config


@dataclass(frozen=True, slots=True)
class Selector:
    """Which objects to list or watch; empty strings select all."""

    namespace: str = ""
    labels: str = ""
    fields: str = ""

    def query(self) -> dict[str, str]:
        """Write the selector as query parameters."""
        pairs = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {name: value for name, value in pairs.items() if value}


EVERYTHING: Final = Selector()

_CALL: Final = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
_WATCH: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=WATCH_SILENCE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    body: Any = field(default=None, repr=False)  # may be a Secret
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON


class Cluster:
    """A connection to one API server; each method raises a ClusterError if the server refuses or does not answer."""

    def __init__(self, configuration: Configuration, user_agent: str) -> None:
        self.clock = ServerClock()
        self._configuration = configuration
        self._user_agent = user_agent
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=_verifying(configuration), limit=100),
            proxy=proxy_for(configuration.host, configuration.proxy),
        )

    @classmethod
    async def connect(cls, *, user_agent: str, kubeconfig: str | None = None) -> Self:
        """Connect as a pod does, or else by kubeconfig (the given file, `$KUBECONFIG` or the default one).

        Raises:
            InvalidSettings: Neither a service account nor a usable kubeconfig was found.
        """
        configuration = Configuration()
        try:
            if kubeconfig is None:
                with contextlib.suppress(ConfigException):
                    _load_incluster_config(client_configuration=configuration)
                    return cls(configuration, user_agent)
            await _load_kube_config(config_file=kubeconfig, client_configuration=configuration, persist_config=False)
        except (ConfigException, OSError) as error:
            raise errors.InvalidSettings(f"no way to reach a Kubernetes API: {error}") from error
        return cls(configuration, user_agent)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read one object; the answer includes every earlier write."""
        return await self._call(_Request("GET", resource.path(namespace, name)))

    async def list_all(self, resource: Resource, selector: Selector = EVERYTHING) -> tuple[list[Object], str]:
        """Read all objects that match, in pages, and the resourceVersion to watch from."""
        items: list[Object] = []
        query = {**selector.query(), "limit": str(LIST_PAGE)}
        while True:
            page = await self._call(_Request("GET", resource.path(selector.namespace), query=query))
            items += page.get("items") or []
            metadata = page.get("metadata", {})
            if not metadata.get("continue"):
                return items, metadata.get("resourceVersion", "")
            query["continue"] = metadata["continue"]

    async def create(self, resource: Resource, obj: Object) -> Object:
        """Create an object.

        Raises:
            AlreadyExists: An object of that name exists.
        """
        body = _with_type(resource, obj)
        try:
            return await self._call(_Request("POST", resource.path(_namespace(obj)), body))
        except errors.Conflict as error:
            raise errors.AlreadyExists(str(error)) from error

    async def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """Replace an object if it still has the resourceVersion in `obj`, or raise Conflict."""
        path = resource.path(_namespace(obj), obj["metadata"]["name"], subresource)
        return await self._call(_Request("PUT", path, _with_type(resource, obj)))

    async def apply(self, resource: Resource, obj: Object, *, field_manager: str, subresource: str = "") -> Object:
        """Apply an object server-side, and take its fields over from other managers."""
        path = resource.path(_namespace(obj), obj["metadata"]["name"], subresource)
        query = {"fieldManager": field_manager, "force": "true"}
        return await self._call(_Request("PATCH", path, _with_type(resource, obj), query, APPLY))

    async def patch(
        self, resource: Resource, namespace: str, name: str, operations: list[Object], *, field_manager: str
    ) -> Object:
        """Apply RFC 6902 operations to an object."""
        query = {"fieldManager": field_manager}
        return await self._call(_Request("PATCH", resource.path(namespace, name), operations, query, JSON_PATCH))

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete an object if it still has that uid; one that does not exist is no error."""
        options: Object = {"preconditions": {"uid": uid}} if uid else {}
        with contextlib.suppress(errors.NotFound):
            await self._call(_Request("DELETE", resource.path(namespace, name), options))

    async def watch(self, resource: Resource, selector: Selector, resource_version: str) -> AsyncIterator[Object]:
        """Yield watch events (`type`, `object`), bookmarks among them, until the API server ends the watch.

        Raises:
            Expired: The resourceVersion is too old.
            Unavailable: The connection failed, or stayed silent for longer than bookmarks take.
        """
        query = {
            **selector.query(),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with self._open(_Request("GET", resource.path(selector.namespace), query=query), _WATCH) as response:
            async for line in _lines(response):
                event = responses.parse_object(line)
                if event is None:
                    raise errors.Unavailable(f"watch of {resource.plural}: an event is not JSON")
                if event.get("type") == "ERROR":
                    raise responses.error_of(event["object"].get("code", 500), event["object"])
                yield event

    async def _call(self, request: _Request) -> Object:
        async with self._open(request, _CALL) as response:
            answer = responses.parse_object(await response.read())
        if answer is None:
            raise errors.Unavailable(f"{request.method} {request.path}: the answer is not a JSON object")
        return answer

    @contextlib.asynccontextmanager
    async def _open(self, request: _Request, limit: aiohttp.ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": JSON, "Content-Type": request.content_type, "User-Agent": self._user_agent}
        url = self._configuration.host + request.path
        data = orjson.dumps(request.body) if request.body is not None else None
        try:
            # The client refreshes the token from a file or by a program, which can fail like the network.
            token = await self._configuration.get_api_key_with_prefix("BearerToken")
            if token:
                headers["Authorization"] = token
            async with self._session.request(
                request.method,
                url,
                params=request.query,
                data=data,
                headers=headers,
                timeout=limit,
                server_hostname=self._configuration.tls_server_name,
            ) as response:
                self.clock.set(response.headers.get("Date"))
                if response.status >= HTTPStatus.BAD_REQUEST:
                    body = await response.read()
                    status = responses.parse_object(body) or {"message": body[:200].decode(errors="replace")}
                    if "/secrets" in request.path:
                        status = responses.redacted(status)
                    raise responses.error_of(response.status, status, response.headers.get("Retry-After"))
                yield response
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as error:
            # The texts of these errors repeat the proxy's address, which may hold a password.
            what = f"{request.method} {request.path}: {type(error).__name__}: {getattr(error, 'status', 'no URL')}"
            raise errors.NoAnswer(what) from None
        except (aiohttp.ClientError, OSError, TimeoutError, ConfigException) as error:
            what = f"{request.method} {request.path}: {type(error).__name__}: {error}"
            raise errors.NoAnswer(what) from error


def _verifying(configuration: Configuration) -> ssl.SSLContext:
    """Build the context that a kubeconfig or a service account asks for."""
    context = tls.client_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


def _namespace(obj: Object) -> str:
    namespace: str = obj["metadata"].get("namespace", "")
    return namespace


def _with_type(resource: Resource, obj: Object) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
