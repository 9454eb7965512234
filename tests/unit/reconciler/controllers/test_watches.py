"""Which change wakes which storage, and how fast."""

from __future__ import annotations

import pytest

from reconciler.controllers.watches import Watches
from reconciler.manifests.valkey_pods import ValkeyPods
from reconciler.state.kubernetes_nodes import trimmed_node
from shared import names
from shared.kubernetes.keeping import PackedObjects
from shared.objects.resources import PODS, Object
from tests.support.fakes import FakeApi

KEY = ("team", "mine")


def pod(**metadata: str) -> Object:
    labels = {names.LABEL_STORAGE: "mine", names.LABEL_MANAGED_BY: names.MANAGED_BY}
    base = {"namespace": "team", "name": "mine-valkey-0-0", "uid": "u", "resourceVersion": "1", "labels": labels}
    return {"metadata": base | metadata, "spec": {}, "status": {}}


GOING = pod(resourceVersion="2", deletionTimestamp="2026-11-30T10:00:00Z")


async def waiting(old: Object | None, new: Object | None) -> tuple[int, bool]:
    """Tell how many storages wait for a worker, and whether they are hastened, after a change of a pod."""
    watches = Watches(FakeApi())
    watches._on_pod(old, new)
    return len(watches.storage_queue), KEY in watches.storage_queue.managed._hastened


@pytest.mark.parametrize(
    ("old", "new", "is_hastened"), [(None, pod(), False), (pod(), GOING, True), (GOING, None, True)]
)
async def test_a_storage_whose_pod_goes_is_looked_at_before_all_others(
    old: Object | None, new: Object | None, *, is_hastened: bool
) -> None:
    assert await waiting(old, new) == (1, is_hastened)


async def test_a_storage_with_an_instance_that_falls_silent_is_looked_at_before_all_others() -> None:
    watches = Watches(FakeApi())
    watches.heartbeats._note_change(KEY, "0")
    assert KEY in watches.storage_queue.managed._hastened


def node(version: int, **further: object) -> Object:
    spec = (
        {"taints": [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]} if further.pop("tainted", False) else {}
    )
    return trimmed_node({"metadata": {"name": "host-0", "resourceVersion": str(version)}, "spec": spec, **further})


async def woken(old: Object, new: Object) -> int:
    """Tell how many storages wait for a worker after a change of the node that has a storage's pod."""
    watches = Watches(FakeApi())
    watches.caches[PODS.plural].remember({**pod(), "spec": {"nodeName": "host-0"}})
    watches.storage_queue.managed.done(await watches.storage_queue.managed.get())
    watches._on_node(old, new)
    return len(watches.storage_queue)


async def test_a_taint_wakes_the_storages_on_its_node_and_a_heartbeat_wakes_none() -> None:
    assert await woken(node(1), node(2, tainted=True)) == 1
    assert await woken(node(2, tainted=True), node(3)) == 1
    assert await woken(node(1), node(2, status={"conditions": [{"lastHeartbeatTime": "now"}]})) == 0


def labelled(version: int, labels: Object) -> Object:
    pods = ValkeyPods.model_validate({"scheduling": {"nodeSelector": {"pool": "stateful"}}})
    found: Object = {"metadata": {"name": "host-0", "resourceVersion": str(version), "labels": labels}, "spec": {}}
    return trimmed_node(found, pods.scheduling.node_labels)


async def test_a_label_by_which_pods_select_nodes_wakes_the_storages_on_its_node_and_another_wakes_none() -> None:
    assert await woken(labelled(1, {}), labelled(2, {"pool": "stateful"})) == 1
    assert await woken(labelled(1, {"rack": "1"}), labelled(2, {"rack": "2"})) == 0


async def test_a_change_of_registry_credentials_has_every_storage_looked_at() -> None:
    watches = Watches(FakeApi())
    for name in ("one", "two"):
        metadata = {"name": name, "namespace": "team", "uid": name, "resourceVersion": "1"}
        watches.storages.remember({"metadata": metadata, "spec": {}})
    for _ in range(2):
        watches.storage_queue.managed.done(await watches.storage_queue.managed.get())
    watches._on_pull_secret()
    assert len(watches.storage_queue) == 2


async def test_every_cache_that_grows_with_storages_and_consumers_keeps_bytes_without_managers() -> None:
    watches = Watches(FakeApi())
    kinds = [kind.objects for kind in watches.toolhive._kinds.values()]
    caches = [*watches.caches.values(), watches.deployments, *kinds]
    managed: Object = {"manager": names.FIELD_MANAGER, "fieldsV1": {"f:spec": {}}}
    obj = {**pod(managedFields=""), "spec": {"template": {}}}
    obj["metadata"]["managedFields"] = [managed]
    for cache in caches:
        cache._put(obj)
        (kept,) = cache.objects.values()
        assert isinstance(cache._objects, PackedObjects), cache.resource.plural
        assert "f:spec" not in str(kept), cache.resource.plural


async def test_an_index_by_node_forgets_a_pod_that_is_gone() -> None:
    watches = Watches(FakeApi())
    watches.caches[PODS.plural].remember({**pod(), "spec": {"nodeName": "host-0"}})
    assert len(watches._pods_on.get(("", "host-0"))) == 1
    watches.caches[PODS.plural]._drop(("team", "mine-valkey-0-0"))
    assert watches._pods_on.get(("", "host-0")) == ()
