"""The reconciler's whole process over real HTTP, with many storages: the Lease does not wait for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from certs.settings import CertificateSettings
from reconciler.__main__ import Connections, _Process
from reconciler.credentials.login import Credentials
from reconciler.runtime import leader_election
from reconciler.settings import Settings
from reconciler.state.external_store import DialResult, Outcome
from reconciler.valkey.external_store import ExternalStores
from shared.objects.resources import SECRETS, SESSION_STORAGES
from shared.session_storage.endpoint import Endpoint
from tests.support.httpapi import HttpApi
from tests.unit.reconciler.test_process import ENVIRON

STORAGES = 110
"""The pool that all requests and watches once shared had a hundred connections."""


@contextlib.asynccontextmanager
async def running(api: HttpApi) -> AsyncIterator[None]:
    async with api.serving() as connect:
        connections = Connections(connect(), connect(), connect())
        process = _Process(connections, Settings.from_environ(ENVIRON), CertificateSettings.from_environ(ENVIRON))
        task = asyncio.ensure_future(process.run())
        try:
            yield
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.wait({task})


async def dial(_: ExternalStores, __: str, endpoint: Endpoint, ___: Credentials, ____: float) -> DialResult:
    return DialResult(Outcome.OK, endpoint.host)


@pytest.fixture(name="api")
async def api_fixture(monkeypatch: pytest.MonkeyPatch) -> HttpApi:
    monkeypatch.setattr(leader_election, "RETRY_PERIOD_SECONDS", 0.02)
    monkeypatch.setattr(ExternalStores, "dial", dial)
    api = HttpApi()
    for number in range(STORAGES):
        name = {"namespace": f"team-{number % 7}", "name": f"store-{number}"}
        spec = {"external": {"url": "redis://there:6379", "secretRef": name["name"]}}
        await api.objects.create(SECRETS, {"metadata": name, "data": {"password": "c2VjcmV0"}})
        await api.objects.create(SESSION_STORAGES, {"metadata": name, "spec": spec})
    return api


async def renewals(api: HttpApi, count: int) -> None:
    """Wait for the Lease to be renewed so often."""
    before = api.calls["PUT leases"]
    await api.until(lambda: api.calls["PUT leases"] >= before + count)


async def test_many_external_storages_with_secrets_take_neither_lease_nor_watches(api: HttpApi) -> None:
    async with running(api):
        await api.until(lambda: api.calls["PATCH sessionstorages"] >= STORAGES)
        await renewals(api, 5)
        # What carries our label, the versions of all, and the certificates' two.
        assert api.watches["secrets"] == 4
        assert sum(api.watches.values()) < 30


async def test_requests_of_storages_that_hang_do_not_take_the_lease(api: HttpApi) -> None:
    over = asyncio.Event()

    async def hang(what: str) -> web.Response | None:
        if what in {"GET secrets", "GET sessionstorages"}:
            await over.wait()
        return None

    async with running(api):
        await api.until(lambda: api.calls["PUT leases"] >= 1)
        api.meddle = hang
        await renewals(api, 20)
        over.set()
