"""ToolHive's operator and our processes do not undo each other's work: at rest, no object of a consumer changes."""

from __future__ import annotations

import pytest

from deploy.demo.kube import Object
from tests.e2e.consumers import CONNECTED, PROXY_KINDS, UNCONNECTED, Consumer
from tests.e2e.idle import Idle


def version(obj: Object) -> object:
    if obj["kind"] == "Pod":
        return without_limits_found(obj)
    return obj["metadata"].get("generation"), obj["metadata"]["resourceVersion"]


def without_limits_found(pod: Object) -> Object:
    """Leave out the limits of control groups, which the kubelet reports a minute or two after a pod's start."""
    status = {key: value for key, value in pod["status"].items() if key != "resources"}
    containers = [
        {key: value for key, value in container.items() if key != "resources"}
        for container in status.get("containerStatuses", [])
    ]
    return {**pod, "metadata": timeless(pod), "status": {**status, "containerStatuses": containers}}


def timeless(obj: Object) -> Object:
    """Leave out the two metadata fields that change with every write."""
    return {key: value for key, value in obj["metadata"].items() if key not in {"resourceVersion", "managedFields"}}


def moved(idle: Idle) -> set[tuple[str, str]]:
    """List the objects that were changed, created or removed during the minute at rest."""
    before = {key: version(obj) for key, obj in idle.before.items()}
    after = {key: version(obj) for key, obj in idle.after.items()}
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def without_status(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": timeless(obj)}


def test_the_consumers_have_objects_that_could_change(idle: Idle) -> None:
    for consumer in (*CONNECTED, *UNCONNECTED):
        assert {(consumer.kind, consumer.name), ("Deployment", consumer.name)} <= idle.before.keys()


def test_no_object_of_a_consumer_changes(idle: Idle) -> None:
    """These are Deployments, StatefulSets, Services, ConfigMaps, pods and all others."""
    assert {key for key in moved(idle) if key[0] not in PROXY_KINDS} == set()


@pytest.mark.parametrize("consumer", CONNECTED, ids=lambda consumer: consumer.name)
def test_a_connected_consumer_changes_no_more_than_one_that_is_not(
    idle: Idle, consumer: Consumer, figures: list[str]
) -> None:
    """ToolHive's virtual servers report their backends' health twice a minute, connected or not."""
    key = consumer.kind, consumer.name
    assert without_status(idle.before[key]) == without_status(idle.after[key])
    twin = next(each for each in UNCONNECTED if each.kind == consumer.kind)
    if key in moved(idle):
        figures.append(f"{consumer.kind} {consumer.name}: status written at rest, as that of {twin.name} without us")
        assert (twin.kind, twin.name) in moved(idle)
