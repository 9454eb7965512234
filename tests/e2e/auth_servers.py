"""Servers whose proxies run ToolHive's auth server, and what clients of OAuth ask of it.

No identity provider stands behind them: of one whose endpoints are written out, an auth server asks nothing before a
user comes back from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx2

from deploy.demo.kube import Object
from deploy.demo.proxies import Proxies
from tests.e2e.storages import server

ISSUER: Final = "https://login.example.com"
RESOURCE: Final = "https://tools.example.com"
PROVIDER: Final = "idp.example.com"
CALLBACK: Final = "http://127.0.0.1:4711/callback"
"""Where a client awaits the code; nobody listens there."""
CHALLENGE: Final = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""The example of RFC 7636, appendix B."""
ANSWER_SECONDS: Final = 30


def auth_server(name: str, namespace: str, image: str, storage: str) -> tuple[Object, ...]:
    """Build a server that refers to no storage, and the auth server in its proxy, which does; all have one name."""
    endpoints = {"authorizationEndpoint": f"https://{PROVIDER}/authorize", "tokenEndpoint": f"https://{PROVIDER}/token"}
    provider = {"name": "idp", "type": "oauth2", "oauth2Config": {**endpoints, "clientId": "tools"}}
    described = {"issuer": ISSUER, "upstreamProviders": [provider]}
    return (
        _toolhive("MCPOIDCConfig", name, namespace, type="inline", inline={"issuer": ISSUER}),
        _toolhive(
            "MCPExternalAuthConfig",
            name,
            namespace,
            type="embeddedAuthServer",
            embeddedAuthServer=described,
            sessionStorageRef=storage,
        ),
        server(
            name,
            namespace,
            image,
            authServerRef={"kind": "MCPExternalAuthConfig", "name": name},
            # ToolHive demands that both be the same.
            oidcConfigRef={"name": name, "audience": RESOURCE, "resourceUrl": RESOURCE},
        ),
    )


def register(proxies: Proxies) -> str:
    """Register a client at the only proxy (RFC 7591), and return the id that it got."""
    with _http(proxies) as http:
        answer = http.post("/oauth/register", json={"client_name": "tests", "redirect_uris": [CALLBACK]})
    assert answer.status_code == httpx2.codes.CREATED, answer.text
    client: str = answer.json()["client_id"]
    return client


def begin_login(proxies: Proxies, client: str) -> str:
    """Ask the only proxy for a code, as a client does (RFC 6749, 4.1.1).

    Returns:
        The host to which the user is sent, which is the identity provider's for a client that is known; or the error.
    """
    asked = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": CALLBACK,
        "scope": "openid",
        "state": "eight-characters-or-more",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    with _http(proxies) as http:
        answer = http.get("/oauth/authorize", params=asked)
    if answer.is_redirect:
        return urlsplit(answer.headers["location"]).hostname or ""
    error: str = answer.json()["error"]
    return error


@contextmanager
def registered_clients(hosts: list[Proxies]) -> Iterator[None]:
    """Register a client with each auth server, and check when the block has ended that a new process knows this client.

    It must refuse a client that nobody has registered, so that the answer to the other one means something.
    """
    before = [(each, _uids(each), register(each)) for each in hosts]
    yield
    for proxies, replaced, client in before:
        proxies.await_ready(1, other_than=replaced)
        assert begin_login(proxies, client) == PROVIDER
        assert begin_login(proxies, "nobody") == "invalid_client"


def _uids(proxies: Proxies) -> frozenset[str]:
    return frozenset(pod["metadata"]["uid"] for pod in proxies.pods())


@contextmanager
def _http(proxies: Proxies) -> Iterator[httpx2.Client]:
    (pod,) = proxies.await_ready(1)
    with (
        proxies.kube.forwarded(pod, proxies.kind.port, proxies.namespace) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=ANSWER_SECONDS) as http,
    ):
        yield http


def _toolhive(kind: str, name: str, namespace: str, **spec: object) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}
