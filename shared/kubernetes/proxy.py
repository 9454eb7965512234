"""Chooses the proxy on the way to the API server, as the official client does."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


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
    return None if proxy_bypass(server.hostname or "") else getproxies().get(server.scheme)
