"""The registry credentials in the release's namespace are known, and each change of one is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest

from reconciler.observe.pull_secrets import PullSecrets
from shared.objects.resources import SECRETS, Object
from tests.support.fakes import FakeApi


def secret(name: str, namespace: str = "ours", content: str = "e30=") -> Object:
    return {"metadata": {"name": name, "namespace": namespace}, "data": {".dockerconfigjson": content}}


@contextlib.asynccontextmanager
async def watching(api: FakeApi, *sources: str) -> AsyncIterator[tuple[PullSecrets, asyncio.Event]]:
    changed = asyncio.Event()
    known = PullSecrets(api, "ours", sources, changed.set)
    task = asyncio.ensure_future(known.run())
    await known.known()
    yield known, changed
    task.cancel()
    await asyncio.wait({task})


async def test_only_the_named_secrets_of_the_releases_namespace_are_known() -> None:
    api = FakeApi()
    for each in (secret("regcred"), secret("other"), secret("regcred", "theirs", "eA==")):
        await api.create(SECRETS, each)
    async with watching(api, "regcred") as (known, _):
        assert {name: each["data"] for name, each in known.found().items()} == {"regcred": secret("regcred")["data"]}


async def test_a_change_is_told_and_found() -> None:
    api = FakeApi()
    async with watching(api, "regcred", "mirror") as (known, changed):
        assert known.found() == {}
        await api.create(SECRETS, secret("mirror"))
        await changed.wait()
        assert list(known.found()) == ["mirror"]
        changed.clear()
        await api.delete(SECRETS, "ours", "mirror")
        await changed.wait()
        assert known.found() == {}


async def test_a_secret_that_does_not_exist_is_logged_by_name(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi()
    await api.create(SECRETS, secret("regcred"))
    with caplog.at_level(logging.WARNING):
        async with watching(api, "regcred", "mirror"):
            pass
    assert [record.__dict__["secret"] for record in caplog.records] == ["mirror"]


async def test_an_installation_without_any_waits_for_nothing() -> None:
    known = PullSecrets(FakeApi(), "ours", (), lambda: None)
    await known.known()
    assert known.found() == {}
