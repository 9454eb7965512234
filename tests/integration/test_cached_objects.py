"""What caches keep of real objects: enough for every decision, and little memory.

The short form takes about 20 s, the long one a minute: it fills caches with the objects of a thousand storages.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

import pytest

from reconciler.plan.drift import managers_of
from reconciler.state import kept_objects
from reconciler.state.owned_objects import CHILD_RESOURCES
from shared import names
from shared.kubernetes.client import Cluster, Selector
from shared.objects.resources import CONFIG_MAPS, PODS, SESSION_STORAGES, VOLUME_CLAIMS, Object, last_written
from tests.bench import caches
from tests.bench.listed import NAME
from tests.integration.control_plane import Kubectl
from tests.integration.storages import await_ready, storage

pytestmark = pytest.mark.usefixtures("kubelet", "processes")
LIMIT_MIB: Final = 320
LIMIT_WHILE_LISTING_MIB: Final = 400
OURS: Final = Selector(labels=f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}")


@pytest.fixture(name="listed")
async def listed_fixture(kubectl: Kubectl, cluster: Cluster, namespace: str, tmp_path: Path) -> Path:
    """Have the reconciler make a `large` storage, and record all its objects as the caches list them."""
    kubectl.apply(storage(NAME, namespace, size="large"))
    await asyncio.to_thread(await_ready, kubectl, namespace, NAME)
    found = {SESSION_STORAGES.plural: (await cluster.list_all(SESSION_STORAGES, Selector(namespace)))[0]}
    for resource in (*CHILD_RESOURCES, PODS, VOLUME_CLAIMS):
        found[resource.plural], _ = await cluster.list_all(resource, Selector(namespace, OURS.labels))
    file = tmp_path / "listed.json"
    file.write_text(json.dumps(found))
    return file


@pytest.mark.parametrize("storages", [100, pytest.param(1000, marks=pytest.mark.drill)])
async def test_the_objects_of_a_thousand_large_storages_fit_into_the_reconciler(
    listed: Path, figures: list[str], storages: int
) -> None:
    found = await asyncio.to_thread(caches.compared, listed, storages)
    figures.append(f"the objects of {storages} large storages: {caches.table(found)}")
    kept, whole = found["kept"], found["whole"]
    assert kept["after"] - kept["before"] < (whole["after"] - whole["before"]) / 2
    assert kept["after"] <= LIMIT_MIB
    assert kept["most"] <= LIMIT_WHILE_LISTING_MIB


async def test_what_is_kept_of_a_real_child_tells_the_same_managers(cluster: Cluster, namespace: str) -> None:
    await cluster.apply(CONFIG_MAPS, _config_map(namespace, a="1"), field_manager=names.FIELD_MANAGER)
    await cluster.apply(CONFIG_MAPS, _config_map(namespace, b="2"), field_manager="somebody")
    whole = await cluster.get(CONFIG_MAPS, namespace, "mine")
    kept = kept_objects.child(whole)
    for path in (("data", "a"), ("data", "b"), ("metadata", "labels"), ("data", "c")):
        assert managers_of(kept, path) == managers_of(whole, path)
    assert managers_of(kept, ("data", "b")) == {"somebody"}
    assert last_written(kept) == last_written(whole)
    assert len(json.dumps(kept)) < len(json.dumps(whole))


async def test_an_object_that_is_replaced_from_a_cache_keeps_the_managers_of_its_fields(
    cluster: Cluster, namespace: str
) -> None:
    await cluster.apply(CONFIG_MAPS, _config_map(namespace, a="1"), field_manager=names.FIELD_MANAGER)
    whole = await cluster.apply(CONFIG_MAPS, _config_map(namespace, b="2"), field_manager="somebody")
    kept = kept_objects.child(whole)
    replaced = await cluster.replace(CONFIG_MAPS, {**kept, "data": {**kept["data"], "c": "3"}})
    owning = {entry["manager"]: entry["fieldsV1"]["f:data"] for entry in replaced["metadata"]["managedFields"]}
    assert "f:a" in owning[names.FIELD_MANAGER]
    assert "f:b" in owning["somebody"]


def _config_map(namespace: str, **data: str) -> Object:
    return {"metadata": {"namespace": namespace, "name": "mine"}, "data": data}
