"""The client of the API server verifies its certificate as kubectl does."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared import errors
from shared.kubernetes.client import Cluster
from shared.objects.resources import SECRETS
from tests.support import handshakes
from tests.support.handshakes import BAD, FLAWED, GOOD, Case


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    handshakes.imitate_python_313(monkeypatch)


@contextlib.asynccontextmanager
async def connected(directory: Path, case: Case, **cluster: object) -> AsyncIterator[Cluster]:
    """Serve an empty object over TLS, and connect by a kubeconfig with these fields beside its server's address."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({})

    made = handshakes.server(directory, case)
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server(ssl=made.context)
    trusted = cluster or {"certificate-authority": str(made.authority_file)}
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": f"https://{handshakes.NAME}:{server.port}", **trusted}}],
        "users": [{"name": "u", "user": {}}],
    }
    (directory / "kubeconfig").write_text(json.dumps(config))
    try:
        async with await Cluster.connect(user_agent="tests", kubeconfig=str(directory / "kubeconfig")) as client:
            yield client
    finally:
        await server.close()


@pytest.mark.parametrize("case", [GOOD, *FLAWED.values()], ids=["no key identifiers and no key usage", *FLAWED])
async def test_a_certificate_that_pythons_default_alone_refuses_is_accepted(tmp_path: Path, case: Case) -> None:
    async with connected(tmp_path, case) as cluster:
        assert await cluster.get(SECRETS, "team", "a") == {}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
async def test_what_go_refuses_is_refused(tmp_path: Path, case: Case) -> None:
    async with connected(tmp_path, case) as cluster:
        with pytest.raises(errors.Unavailable, match="certificate verify failed"):
            await cluster.get(SECRETS, "team", "a")


async def test_the_name_that_the_kubeconfig_gives_is_verified_instead_of_the_hosts(tmp_path: Path) -> None:
    another = BAD["another name"]
    trusted = {"certificate-authority": str(tmp_path / "ca.crt"), "tls-server-name": another.hosts[0]}
    async with connected(tmp_path, another, **trusted) as cluster:
        assert await cluster.get(SECRETS, "team", "a") == {}


async def test_a_kubeconfig_may_forgo_verification(tmp_path: Path) -> None:
    async with connected(tmp_path, BAD["another name"], **{"insecure-skip-tls-verify": True}) as cluster:
        assert await cluster.get(SECRETS, "team", "a") == {}
