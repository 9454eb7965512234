"""The reconciler's whole process, on an API server in memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
from collections.abc import AsyncIterator, Coroutine

import pytest
import uvloop

from certs.settings import CertificateSettings
from reconciler.__main__ import Connections, _Process, main
from reconciler.observe.write_checks import WriteChecks
from reconciler.settings import Settings
from shared.kubernetes.client import EVERYTHING, Selector
from shared.objects.resources import CRDS, LEASES, NETWORK_POLICIES, SECRETS, SESSION_STORAGES, Object, Resource
from shared.process import json_log
from tests.support.fakes import FakeApi

ENVIRON = {
    "POD_NAME": "ours-reconciler-0",
    "POD_NAMESPACE": "session-storage-system",
    "LEASE_NAME": "ours-reconciler",
    "VALKEY_IMAGE": "registry.example/valkey:9",
    "RECONCILER_SELECTOR": "app.kubernetes.io/name=ours",
    "HTTP_PORT": "0",
    "WEBHOOK_SERVICE": "ours-webhook",
    "CA_SECRET": "ours-webhook-ca",
    "TLS_SECRET": "ours-webhook-tls",
    "WEBHOOK_CONFIGURATIONS": "mutating/ours-webhook",
    "WEBHOOK_SELECTOR": "app.kubernetes.io/component=webhook",
}
STORAGE: Object = {"metadata": {"namespace": "team", "name": "mine"}, "spec": {"size": "small"}}
CRD: Object = {"metadata": {"name": "mcpservers.toolhive.stacklok.dev"}, "spec": {"versions": []}}


class Api(FakeApi):
    """An API server that can fail with an unforeseen error, and that lets a test wait for writes."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = ""
        self.written = asyncio.Event()

    def _tell(self, verb: str, kind: str, resource: Resource, obj: Object) -> None:
        super()._tell(verb, kind, resource, obj)
        self.written.set()

    async def list_pages(
        self, resource: Resource, selector: Selector = EVERYTHING
    ) -> AsyncIterator[tuple[list[Object], str]]:
        if resource.plural == self.broken:
            raise RuntimeError("a bug")
        async for page in super().list_pages(resource, selector):
            yield page

    async def until_there(self, resource: Resource, namespace: str, name: str) -> Object:
        while (resource.plural, namespace, name) not in self.objects:
            self.written.clear()
            await self.written.wait()
        return self.objects[resource.plural, namespace, name]


def process(api: FakeApi) -> _Process:
    return _Process(
        Connections(api, api, api), Settings.from_environ(ENVIRON), CertificateSettings.from_environ(ENVIRON)
    )


async def test_the_process_leads_provisions_and_gives_the_lease_back_when_stopped() -> None:
    api = Api()
    await api.create(SESSION_STORAGES, STORAGE)
    running = asyncio.ensure_future(process(api).run())
    async with asyncio.timeout(10):
        await api.until_there(SECRETS, "team", "mine-connection")
        await api.until_there(SECRETS, "session-storage-system", "ours-webhook-ca")
    lease = api.objects[LEASES.plural, "session-storage-system", "ours-reconciler"]
    assert lease["spec"]["holderIdentity"] == "ours-reconciler-0"
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    lease = api.objects[LEASES.plural, "session-storage-system", "ours-reconciler"]
    assert lease["spec"]["holderIdentity"] == ""


async def test_only_the_replica_that_leads_tells_prometheus_of_storages() -> None:
    api = Api()
    await api.create(SESSION_STORAGES, STORAGE)
    reconciler = process(api)
    exposition = reconciler._metrics.exposition
    assert not exposition.is_leader
    running = asyncio.ensure_future(reconciler.run())
    async with asyncio.timeout(10):
        await api.until_there(SECRETS, "team", "mine-connection")
        while True:
            await asyncio.sleep(0.01)
            if exposition.has(("team", "mine")):
                break
    assert b'session_storage_info{namespace="team",storage="mine"' in b"".join(exposition.pieces())
    running.cancel()
    await asyncio.wait({running})
    assert not exposition.is_leader


async def test_primaries_are_checked_as_long_as_the_process_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def run(_: WriteChecks) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(WriteChecks, "run", run)
    running = asyncio.ensure_future(process(Api()).run())
    async with asyncio.timeout(10):
        await begun.wait()
    assert not ended.is_set()
    running.cancel()
    await asyncio.wait({running})
    assert ended.is_set()


async def test_a_change_of_a_child_causes_a_pass() -> None:
    api = Api()
    await api.create(SESSION_STORAGES, STORAGE)
    running = asyncio.ensure_future(process(api).run())
    async with asyncio.timeout(10):
        await api.until_there(SECRETS, "team", "mine-connection")
        first = await api.until_there(NETWORK_POLICIES, "team", "mine-valkey")
        await api.delete(NETWORK_POLICIES, "team", "mine-valkey")
        again = await api.until_there(NETWORK_POLICIES, "team", "mine-valkey")
    assert again["metadata"]["uid"] != first["metadata"]["uid"]
    assert again["spec"] == first["spec"]
    running.cancel()
    await asyncio.wait({running})


@pytest.mark.parametrize("plural", ["secrets", "pods", "sessionstorages", "mcpservers"])
async def test_a_watch_that_ends_by_a_bug_ends_the_process(plural: str, caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise the process would go on with an outdated cache, and report that all is well."""
    api = Api()
    await api.create(CRDS, CRD)
    api.broken = plural
    with pytest.raises(BaseExceptionGroup) as caught:
        async with asyncio.timeout(10):
            await process(api).run()
    assert caught.group_contains(RuntimeError, match="a bug")
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_a_wrong_environment_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ENVIRON:
        monkeypatch.delenv(name, raising=False)
    assert main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("reconciler: ")
    assert "LEASE_NAME" in line


def test_the_process_may_open_two_connections_with_each_of_thousands_of_instances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some container runtimes start processes that may open 1,024."""
    limits = []

    def run(process: Coroutine[None, None, int]) -> int:
        process.close()
        limits.append(resource.getrlimit(resource.RLIMIT_NOFILE))
        return 0

    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(json_log, "configure", lambda *_: None)
    monkeypatch.setattr(uvloop, "run", run)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        assert main() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert limits == [(hard, hard)]
