"""Chooses the proxy on the way to the API server, as kubectl does."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network


def proxy_for(host: str, configured: str | None) -> str | None:
    """Return the kubeconfig's `proxy-url`, or else the environment's proxy for a server; None if there is neither.

    `NO_PROXY` limits the environment's proxy only, in kubectl too. aiohttp's own `trust_env` would also read ~/.netrc,
    and would read it again for every request.

    Args:
        host: URL of the API server.
        configured: The proxy that the kubeconfig names.
    """
    if configured:
        return configured
    server = urlsplit(host)
    proxies = getproxies()
    name = server.hostname or ""
    is_exempt = proxy_bypass(name) or _is_in_a_network(name, proxies.get("no", ""))
    return None if is_exempt else proxies.get(server.scheme)


def _is_in_a_network(host: str, no_proxy: str) -> bool:
    """Tell whether a host is an address within one of the networks in `NO_PROXY`.

    Go's programs read networks there (golang.org/x/net/http/httpproxy), and Python's standard library does not. Pods
    know the API server by its address, and platforms list the network of Services, such as 172.30.0.0/16.
    """
    with contextlib.suppress(ValueError):
        address = ip_address(host)
        return any(address in network for entry in no_proxy.split(",") for network in _networks(entry.strip()))
    return False


def _networks(entry: str) -> list[IPv4Network | IPv6Network]:
    """Parse an entry; nothing if it is no network."""
    try:
        return [ip_network(entry, strict=False)]
    except ValueError:
        return []
