"""The reconciler adds our field to every version of ToolHive's CRD, and adds it again when it goes missing."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator

import jsonpatch
import pytest

from reconciler.controllers import toolhive
from reconciler.controllers.toolhive import RETRY_SECONDS, CrdExtension, crd_name, disowning, extension
from shared import errors, names
from shared.kubernetes.informer import Informer
from shared.objects.resources import CRDS, MCP_SERVERS, Object
from tests.support.fakes import FakeApi
from tests.support.virtual_time import in_virtual_time

NAME = "mcpservers.toolhive.stacklok.dev"


def version(name: str, **properties: Object) -> Object:
    spec = {"type": "object", "properties": {"image": {"type": "string"}, **properties}}
    return {"name": name, "schema": {"openAPIV3Schema": {"properties": {"spec": spec}}}}


def stock() -> Object:
    versions = [version("v1alpha1"), version("v1beta1")]
    return {"metadata": {"name": NAME, "resourceVersion": "7"}, "spec": {"versions": versions}}


def patched(crd: Object) -> Object:
    result: Object = jsonpatch.apply_patch(copy.deepcopy(crd), json.dumps(extension(crd)))
    return result


def has_field(crd: Object) -> list[bool]:
    return [
        "sessionStorageRef" in item["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        for item in crd["spec"]["versions"]
    ]


def test_every_version_gets_the_field() -> None:
    assert has_field(patched(stock())) == [True, True]


def test_the_field_takes_a_name_and_an_object_alike() -> None:
    schema = patched(stock())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert schema["sessionStorageRef"]["x-kubernetes-preserve-unknown-fields"] is True
    assert "type" not in schema["sessionStorageRef"]


def test_a_crd_with_the_field_is_not_changed() -> None:
    assert extension(patched(stock())) == []


def test_only_the_version_that_lacks_the_field_is_touched() -> None:
    crd = stock()
    crd["spec"]["versions"][0] = version("v1alpha1", sessionStorageRef={"type": "string"})
    (test, add) = extension(crd)
    assert test == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert (add["op"], add["path"].split("/")[3]) == ("add", "1")


def owned(*managers: str) -> Object:
    crd = patched(stock())
    crd["metadata"]["managedFields"] = [{"manager": manager, "operation": "Update"} for manager in managers]
    return crd


def test_the_reconciler_gives_up_what_it_owns_of_a_crd_and_nothing_else() -> None:
    crd = owned(names.FIELD_MANAGER_CRD, "helm", names.FIELD_MANAGER_CRD, "kube-apiserver")
    left = jsonpatch.apply_patch(copy.deepcopy(crd), json.dumps(disowning(crd)))
    assert left == owned("helm", "kube-apiserver")


def test_a_crd_of_which_the_reconciler_owns_nothing_is_not_changed() -> None:
    assert disowning(owned("helm", "kube-apiserver")) == []
    assert disowning(stock()) == []


def test_the_name_is_the_plural_and_the_group() -> None:
    assert crd_name(MCP_SERVERS) == NAME


@contextlib.asynccontextmanager
async def extending(api: FakeApi) -> AsyncIterator[CrdExtension]:
    part = CrdExtension(api, MCP_SERVERS)
    crds = Informer(api, CRDS, part.on_change)
    tasks = [asyncio.ensure_future(crds.run()), asyncio.ensure_future(part.run(crds))]
    try:
        async with asyncio.timeout(3600):
            yield part
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def stored(api: FakeApi) -> Object:
    return api.objects[CRDS.plural, "", NAME]


@in_virtual_time
async def test_a_crd_that_is_installed_later_is_extended_then() -> None:
    api = FakeApi()
    async with extending(api) as part:
        await asyncio.sleep(1)
        assert not part.served.is_set()
        await api.create(CRDS, stock())
        await part.served.wait()
        await asyncio.sleep(1)
        assert has_field(stored(api)) == [True, True]


@in_virtual_time
async def test_an_upgrade_that_drops_the_field_is_repaired_once() -> None:
    api = FakeApi()
    await api.create(CRDS, stock())
    async with extending(api):
        await asyncio.sleep(1)
        await api.replace(CRDS, {**stored(api), "spec": stock()["spec"]})
        await asyncio.sleep(60)
        assert has_field(stored(api)) == [True, True]
    name = f"customresourcedefinitions/{NAME}"
    assert api.writes == [f"create {name}", f"patch {name}", f"replace {name}", f"patch {name}"]


@in_virtual_time
async def test_a_refusal_is_tried_again_after_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi()
    await api.create(CRDS, stock())
    api.refuse = lambda _: errors.Forbidden("403")
    async with extending(api):
        await asyncio.sleep(60)
        assert 10 <= caplog.messages.count("could not add the field to the CRD: trying again") <= 60 / RETRY_SECONDS + 1
        api.refuse = lambda _: None
        await asyncio.sleep(6)
        assert has_field(stored(api)) == [True, True]


@in_virtual_time
async def test_a_crd_is_extended_after_an_error_that_nobody_foresaw(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [KeyError("properties")]

    def fail_once(crd: Object) -> list[Object]:
        if failures:
            raise failures.pop()
        return extension(crd)

    monkeypatch.setattr(toolhive, "extension", fail_once)
    api = FakeApi()
    await api.create(CRDS, stock())
    parts = toolhive.ToolHive(api, lambda *_: None)
    tasks = [asyncio.ensure_future(each) for each in (*parts.watches(), *parts.extensions())]
    await asyncio.sleep(10)
    assert has_field(stored(api)) == [True, True]
    assert [record.__dict__["part"] for record in caplog.records if record.exc_info] == [
        "the extension of the CRD of MCPServer"
    ]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
