"""The keeper brings an in-memory cluster to trusted certificates, keeps it there, and then writes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from certs import check, keeper
from certs.pem import bundle_of, encoded, entry
from certs.settings import CertificateSettings
from shared import errors
from shared.cluster import EVERYTHING, Cluster, Selector
from shared.names import FIELD_MANAGER_CERTIFICATES
from shared.resources import MUTATING_WEBHOOKS, SECRETS, Object, Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

NAMESPACE = "toolhive-system"
CA, TLS, CONFIGURATION = "release-webhook-ca", "release-webhook-tls", "release-webhook"
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
SETTINGS = CertificateSettings.from_environ(
    {
        "POD_NAMESPACE": NAMESPACE,
        "WEBHOOK_SERVICE": "release-webhook",
        "CA_SECRET": CA,
        "TLS_SECRET": TLS,
        "WEBHOOK_CONFIGURATIONS": f"mutating/{CONFIGURATION}",
    }
)
NAMES = check.dns_names("release-webhook", NAMESPACE)


class FakeCluster(Cluster):
    """Secrets and webhook configurations with resourceVersions, watches and refusals."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.events: list[tuple[str, Object]] = []
        self.writes: list[str] = []
        self.refusals: list[errors.ClusterError] = []
        self._news = asyncio.Condition()

    async def set(self, resource: Resource, obj: Object, kind: str = "MODIFIED") -> Object:
        stored = copy.deepcopy(obj)
        stored["metadata"]["resourceVersion"] = str(len(self.events) + 1)
        stored["metadata"].setdefault("uid", f"uid-{len(self.events)}")
        key = (resource.plural, stored["metadata"]["name"])
        if kind == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = stored
        self.events.append((resource.plural, {"type": kind, "object": stored}))
        async with self._news:
            self._news.notify_all()
        return copy.deepcopy(stored)

    async def until(self, is_reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(is_reached)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        del namespace
        if (resource.plural, name) not in self.objects:
            raise errors.NotFound(name)
        return copy.deepcopy(self.objects[resource.plural, name])

    async def list_all(self, resource: Resource, selector: Selector = EVERYTHING) -> tuple[list[Object], str]:
        name = selector.fields.removeprefix("metadata.name=")
        found = self.objects.get((resource.plural, name))
        return [copy.deepcopy(found)] if found else [], str(len(self.events))

    async def watch(self, resource: Resource, selector: Selector, resource_version: str) -> AsyncIterator[Object]:
        name = selector.fields.removeprefix("metadata.name=")
        position = int(resource_version)
        while True:
            await self.until_longer_than(position)
            plural, event = self.events[position]
            position += 1
            if plural == resource.plural and event["object"]["metadata"]["name"] == name:
                yield copy.deepcopy(event)

    async def until_longer_than(self, position: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: len(self.events) > position)

    async def create(self, resource: Resource, obj: Object) -> Object:
        self._written("create", obj)
        if (resource.plural, obj["metadata"]["name"]) in self.objects:
            raise errors.AlreadyExists(obj["metadata"]["name"])
        return await self.set(resource, obj, "ADDED")

    async def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        del subresource
        self._written("replace", obj)
        found = await self.get(resource, "", obj["metadata"]["name"])
        if found["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            raise errors.Conflict(obj["metadata"]["name"])
        return await self.set(resource, obj)

    async def apply(self, resource: Resource, obj: Object, *, field_manager: str, subresource: str = "") -> Object:
        del subresource
        self._written("apply", obj)
        assert field_manager == FIELD_MANAGER_CERTIFICATES
        found = await self.get(resource, "", obj["metadata"]["name"])
        assert found["metadata"]["uid"] == obj["metadata"]["uid"]
        for webhook, applied in zip(found["webhooks"], obj["webhooks"], strict=True):
            assert applied == {
                "name": webhook["name"],
                "clientConfig": {"caBundle": applied["clientConfig"]["caBundle"]},
            }
            webhook["clientConfig"] |= applied["clientConfig"]
        return await self.set(resource, found)

    def _written(self, verb: str, obj: Object) -> None:
        self.writes.append(f"{verb} {obj['metadata']['name']}")
        if self.refusals:
            raise self.refusals.pop(0)


class Clock:
    def __init__(self) -> None:
        self.now = START
        self.asked: asyncio.Queue[None] = asyncio.Queue()

    def __call__(self) -> datetime:
        self.asked.put_nowait(None)
        return self.now


@pytest.fixture(name="clock")
def clock_fixture() -> Clock:
    return Clock()


@pytest.fixture(name="cluster")
async def cluster_fixture() -> FakeCluster:
    cluster = FakeCluster()
    webhooks = [{"name": name, "clientConfig": {"service": {"name": "release-webhook"}}} for name in ("a.x", "b.x")]
    await cluster.set(MUTATING_WEBHOOKS, {"metadata": {"name": CONFIGURATION}, "webhooks": webhooks})
    return cluster


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "FIRST_BACKOFF_SECONDS", 0.01)


@contextlib.asynccontextmanager
async def keeping(cluster: FakeCluster, clock: Clock) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.keep(cluster, SETTINGS, clock))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def is_settled(cluster: FakeCluster, clock: Clock) -> bool:
    serving = cluster.objects.get((SECRETS.plural, TLS))
    if serving is None or (SECRETS.plural, CA) not in cluster.objects:
        return False
    webhooks = cluster.objects[MUTATING_WEBHOOKS.plural, CONFIGURATION]["webhooks"]
    bundles = {webhook["clientConfig"].get("caBundle") for webhook in webhooks}
    try:
        trusted = bundle_of(serving)
    except errors.CertificateError:
        return False
    return bundles == {encoded(entry(serving, "ca.crt"))} and not check.serving_problems(
        serving, trusted, NAMES, clock()
    )


async def settle(cluster: FakeCluster, clock: Clock) -> None:
    await cluster.until(lambda: is_settled(cluster, clock))


async def test_bootstrap_writes_authority_bundle_and_leaf_once_each(cluster: FakeCluster, clock: Clock) -> None:
    async with keeping(cluster, clock):
        await settle(cluster, clock)
    assert cluster.writes == [f"create {CA}", f"apply {CONFIGURATION}", f"create {TLS}"]
    assert cluster.objects[SECRETS.plural, TLS]["type"] == "kubernetes.io/tls"
    assert set(cluster.objects[SECRETS.plural, TLS]["data"]) == {"tls.crt", "tls.key", "ca.crt"}


async def test_a_keeper_that_finds_everything_in_order_writes_nothing(
    cluster: FakeCluster, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with keeping(cluster, clock):
        await settle(cluster, clock)
    cluster.writes.clear()
    monkeypatch.setattr(keeper, "LOOK_AGAIN_SECONDS", 0.001)
    restarted = Clock()
    async with keeping(cluster, restarted), asyncio.timeout(5):
        for _ in range(3):
            await restarted.asked.get()
    assert cluster.writes == []


async def test_the_leaf_is_renewed_without_any_event_when_its_time_comes(
    cluster: FakeCluster, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LOOK_AGAIN_SECONDS", 0.01)
    async with keeping(cluster, clock):
        await settle(cluster, clock)
        first = cluster.objects[SECRETS.plural, TLS]["data"]["tls.crt"]
        clock.now += timedelta(days=21)
        await cluster.until(lambda: cluster.objects[SECRETS.plural, TLS]["data"]["tls.crt"] != first)
        assert is_settled(cluster, clock)
    assert cluster.writes[3:] == [f"replace {TLS}"]


@pytest.mark.parametrize("name", [CA, TLS])
async def test_a_deleted_secret_comes_back(cluster: FakeCluster, clock: Clock, name: str) -> None:
    async with keeping(cluster, clock):
        await settle(cluster, clock)
        await cluster.set(SECRETS, cluster.objects[SECRETS.plural, name], "DELETED")
        await settle(cluster, clock)
    assert f"create {name}" in cluster.writes[3:]


@pytest.mark.parametrize("name", [CA, TLS])
async def test_an_edited_secret_is_repaired_and_keeps_its_labels(cluster: FakeCluster, clock: Clock, name: str) -> None:
    async with keeping(cluster, clock):
        await settle(cluster, clock)
        edited = copy.deepcopy(cluster.objects[SECRETS.plural, name])
        edited["metadata"]["labels"]["team"] = "one"
        edited["data"]["tls.key"] = encoded(b"scribble")
        await cluster.set(SECRETS, edited)
        await cluster.until(lambda: f"replace {name}" in cluster.writes and is_settled(cluster, clock))
    assert cluster.objects[SECRETS.plural, name]["metadata"]["labels"]["team"] == "one"


async def test_an_emptied_bundle_comes_back_and_nothing_else_is_written(cluster: FakeCluster, clock: Clock) -> None:
    async with keeping(cluster, clock):
        await settle(cluster, clock)
        edited = copy.deepcopy(cluster.objects[MUTATING_WEBHOOKS.plural, CONFIGURATION])
        del edited["webhooks"][1]["clientConfig"]["caBundle"]
        await cluster.set(MUTATING_WEBHOOKS, edited)
        await settle(cluster, clock)
    assert cluster.writes[3:] == [f"apply {CONFIGURATION}"]


async def test_two_keepers_agree_on_one_authority(cluster: FakeCluster, clock: Clock) -> None:
    async with keeping(cluster, clock), keeping(cluster, clock):
        await settle(cluster, clock)
    assert [event["type"] for plural, event in cluster.events if plural == SECRETS.plural] == ["ADDED", "ADDED"]


@pytest.mark.parametrize(
    "refusal",
    [errors.Unavailable("503", 0.01), errors.Forbidden("403"), errors.Rejected("422"), errors.Conflict("409")],
    ids=lambda refusal: type(refusal).__name__,
)
async def test_a_refused_write_is_told_once_and_tried_again(
    cluster: FakeCluster, clock: Clock, caplog: pytest.LogCaptureFixture, refusal: errors.ClusterError
) -> None:
    cluster.refusals = [refusal]
    async with keeping(cluster, clock):
        await settle(cluster, clock)
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1


async def test_no_key_is_logged(cluster: FakeCluster, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with keeping(cluster, clock):
        await settle(cluster, clock)
    logged = " ".join(str(vars(record)) for record in caplog.records)
    for name in (CA, TLS):
        secret = cluster.objects[SECRETS.plural, name]
        assert secret["data"]["tls.key"] not in logged
    assert "PRIVATE KEY" not in logged
    assert "issued serving certificate" in logged
