"""Sends requests to one API server. No other module imports the official client.

The client contributes what is hard to get right: configuration and token refresh. Requests carry raw JSON, because
generated models take ten times the time, drop unknown fields and have no bookmarks for custom resources.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson
from kubernetes.aio import config as client_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException

from shared import errors, tls
from shared.kubernetes import responses
from shared.kubernetes.proxy import proxy_for
from shared.kubernetes.server_clock import ServerClock
from shared.kubernetes.turns import Turns, is_urgent
from shared.objects.resources import SECRETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from shared.objects.resources import Object, Resource

JSON: Final = "application/json"
REQUEST_TIMEOUT_SECONDS: Final = 30.0
URGENT_TIMEOUT_SECONDS: Final = 5.0
"""API servers answer in milliseconds. If one of several behind an address hangs, the next connection may lead to
another one, and a failover must not wait for the first."""
CONNECT_SECONDS: Final = 10.0
WATCH_SILENCE_SECONDS: Final = 90.0
"""Bookmarks come about once a minute: more silence than this means a dead connection."""
PLACES: Final = 32
"""Requests in flight. An API server on default settings has about 245 places for all service accounts together
(`workload-low`; Kubernetes, "API Priority and Fairness")."""
URGENT_PLACES: Final = 32
URGENT_ATTEMPTS: Final = 5
"""How often an urgent request is sent that the server puts off; it then asks for a second each time."""

# The client's loaders carry no annotations.
_load_incluster_config: Callable[..., None] = client_config.load_incluster_config
_load_kube_config: Callable[..., Awaitable[object]] = client_config.load_kube_config

_CALL: Final = aiohttp.ClientTimeout(total=None)  # the wait for a turn counts too
_STREAM: Final = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=WATCH_SILENCE_SECONDS)
_random = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Request:
    """One request about the objects of a resource; without a name, about all of them."""

    method: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    body: Any = field(default=None, repr=False)  # may be a Secret
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    accept: str = JSON

    @property
    def path(self) -> str:
        """The path of its URL."""
        return self.resource.path(self.namespace, self.name, self.subresource)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Transport:
    """A connection to one API server; each method raises a ClusterError if the server refuses or does not answer.

    Attributes:
        clock: The API server's clock.
    """

    def __init__(self, configuration: Configuration, user_agent: str) -> None:
        self.clock = ServerClock()
        self._configuration = configuration
        self._user_agent = user_agent
        self._turns, self._urgent_turns = Turns(PLACES), Turns(URGENT_PLACES)
        self._session = aiohttp.ClientSession(
            # Turns bound the calls, and nothing bounds streams: none of these takes a connection from the others.
            connector=aiohttp.TCPConnector(ssl=_verifying(configuration), limit=0),
            proxy=proxy_for(configuration.host, configuration.proxy),
        )

    @property
    def host(self) -> str:
        """Name or address of the API server, without brackets."""
        return urlsplit(self._configuration.host).hostname or ""

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def call(self, request: Request) -> Object:
        """Send a request when it has its turn, and return the answer; an urgent one again if the server puts it off."""
        for _ in range(URGENT_ATTEMPTS - 1 if is_urgent() else 0):
            try:
                return await self._call(request)
            except errors.Unavailable as error:
                pause = error.retry_after_seconds
                if pause is None or pause > URGENT_TIMEOUT_SECONDS:
                    raise
            await asyncio.sleep(pause * _random.uniform(1.0, 1.2))
        return await self._call(request)

    async def _call(self, request: Request) -> Object:
        turns, seconds = self._turns, REQUEST_TIMEOUT_SECONDS
        if is_urgent():
            turns, seconds = self._urgent_turns, URGENT_TIMEOUT_SECONDS
        try:
            async with asyncio.timeout(seconds), turns.take(request.namespace), self._open(request, _CALL) as response:
                answer = responses.parse_object(await response.read())
        except TimeoutError as error:
            raise errors.NoAnswer(f"{request}: TimeoutError: no answer in {seconds:g} s") from error
        if answer is None:
            raise errors.Unavailable(f"{request}: the answer is not a JSON object")
        return answer

    async def stream(self, request: Request) -> AsyncIterator[bytes]:
        """Send a request, and yield the lines of an answer that may have no end."""
        async with self._open(request, _STREAM) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield line

    @contextlib.asynccontextmanager
    async def _open(self, request: Request, limit: aiohttp.ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": request.accept, "Content-Type": request.content_type, "User-Agent": self._user_agent}
        try:
            # The client refreshes the token from a file or by a program, which can fail like the network.
            token = await self._configuration.get_api_key_with_prefix("BearerToken")
            if token:
                headers["Authorization"] = token
            async with self._session.request(
                request.method,
                self._configuration.host + request.path,
                params=request.query,
                data=orjson.dumps(request.body) if request.body is not None else None,
                headers=headers,
                timeout=limit,
                server_hostname=self._configuration.tls_server_name,
            ) as response:
                self.clock.set(response.headers.get("Date"))
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise await _refusal(request, response)
                yield response
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as error:
            # The texts of these errors repeat the proxy's address, which may hold a password.
            what = f"{request}: {type(error).__name__}: {getattr(error, 'status', 'no URL')}"
            raise errors.NoAnswer(what) from None
        except (aiohttp.ClientError, OSError, TimeoutError, ConfigException) as error:
            raise errors.NoAnswer(f"{request}: {type(error).__name__}: {error}") from error


async def load_configuration(kubeconfig: str | None) -> Configuration:
    """Find an API server as a pod does, or else by kubeconfig (the given file, `$KUBECONFIG` or the default one).

    Raises:
        InvalidSettings: Neither a service account nor a usable kubeconfig was found.
    """
    configuration = Configuration()
    try:
        if kubeconfig is None:
            with contextlib.suppress(ConfigException):
                _load_incluster_config(client_configuration=configuration)
                return configuration
        await _load_kube_config(config_file=kubeconfig, client_configuration=configuration, persist_config=False)
    except (ConfigException, OSError) as error:
        raise errors.InvalidSettings(f"no way to reach a Kubernetes API: {error}") from error
    return configuration


async def _refusal(request: Request, response: aiohttp.ClientResponse) -> errors.ClusterError:
    body = await response.read()
    status = responses.parse_object(body) or {"message": body[:200].decode(errors="replace")}
    if request.resource == SECRETS:
        status = responses.redacted(status)
    return responses.error_of(response.status, status, response.headers.get("Retry-After"))


def _verifying(configuration: Configuration) -> ssl.SSLContext:
    """Build the context that a kubeconfig or a service account asks for."""
    context = tls.client_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
