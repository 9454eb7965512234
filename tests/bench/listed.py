"""The objects of one `large` storage, about as an API server lists them: with managers, and what a kubelet says."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Any, Final

from shared import names
from shared.objects.resources import PODS, VOLUME_CLAIMS
from tests.support.simulated import KEY, Simulation

if TYPE_CHECKING:
    from shared.objects.resources import Object

NAME: Final = "storage-0000"
"""The name of the storage wherever it appears in these objects."""
NAMESPACE: Final = "team-of-storages"
CONTROLLER: Final = "kube-controller-manager"
_TIME: Final = "2026-11-30T10:00:00Z"
_CONDITIONS: Final = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


async def listed_objects() -> dict[str, list[Object]]:
    """Have the reconciler make a storage in memory, and complete its objects; by the plural of their kind."""
    simulation = Simulation()
    await simulation.ask_for(size="large")
    await simulation.settle()
    found: dict[str, list[Object]] = {}
    for (plural, _, _), obj in simulation.api.objects.items():
        found.setdefault(plural, []).append(_renamed(obj))
    found[VOLUME_CLAIMS.plural] = [_claim(names.valkey_claim(NAME, index)) for index in range(3)]
    return {plural: [_completed(plural, obj) for obj in objects] for plural, objects in found.items()}


def _renamed(value: Any) -> Any:
    if isinstance(value, str):
        return NAMESPACE if value == KEY[0] else value.replace(KEY[1], NAME)
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    return {key: _renamed(each) for key, each in value.items()} if isinstance(value, dict) else value


def _claim(name: str) -> Object:
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_STORAGE: NAME}
    annotations = dict.fromkeys(
        ("pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"), "yes"
    ) | dict.fromkeys(
        ("volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"),
        "ebs.csi.aws.com",
    )
    size = {"storage": "10Gi"}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels, "annotations": annotations}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": size}, "storageClassName": "gp3"}
    bound = {"volumeMode": "Filesystem", "volumeName": f"pvc-{uuid.uuid4()}"}
    status = {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": size}
    return {"metadata": metadata, "spec": {**spec, **bound}, "status": status}


def _completed(plural: str, obj: Object) -> Object:
    """Add what an API server and a kubelet add to an object."""
    metadata = {**obj["metadata"], "uid": str(uuid.uuid4())}
    completed = {**obj, "metadata": metadata}
    if plural == PODS.plural:
        completed = _as_kubelet_writes(completed)
    made = {key: value for key, value in completed.items() if key in {"metadata", "spec", "data", "endpoints"}}
    managers = [_manager(names.FIELD_MANAGER, made)]
    if "status" in completed:
        managers.append({**_manager(CONTROLLER, {"status": completed["status"]}), "subresource": "status"})
    metadata["managedFields"] = managers
    return completed


def _as_kubelet_writes(pod: Object) -> Object:
    status, (container, *_) = pod["status"], pod["spec"]["containers"]
    conditions = [
        {"type": each, "status": "True", "lastProbeTime": None, "lastTransitionTime": _TIME} for each in _CONDITIONS
    ]
    digest = f"sha256:{uuid.uuid4().hex}{uuid.uuid4().hex}"
    mounts = [{**each, "recursiveReadOnly": "Disabled"} for each in container.get("volumeMounts", [])]
    running = {
        "name": container["name"],
        "state": {"running": {"startedAt": _TIME}},
        "lastState": {},
        "ready": True,
        "restartCount": 0,
        "image": container["image"],
        "imageID": f"{container['image']}@{digest}",
        "containerID": f"containerd://{digest[7:]}",
        "started": True,
        "volumeMounts": mounts,
        "resources": container.get("resources", {}),
        "user": {"linux": {"uid": 999, "gid": 999, "supplementalGroups": [999]}},
    }
    tolerations = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in ("not-ready", "unreachable")
    ]
    defaults = {"enableServiceLinks": False, "preemptionPolicy": "PreemptLowerPriority", "priority": 0}
    host = {"hostIP": "10.20.0.7", "hostIPs": [{"ip": "10.20.0.7"}], "podIPs": [{"ip": status["podIP"]}]}
    more = {"conditions": conditions, "containerStatuses": [running], "qosClass": "Burstable", "startTime": _TIME}
    spec = {**defaults, "tolerations": tolerations, "hostname": pod["metadata"]["name"], **pod["spec"]}
    return {**pod, "spec": spec, "status": {**status, **host, **more}}


def _manager(manager: str, fields: Object) -> Object:
    """Name the fields that a manager owns, each of them once more (structured-merge-diff's "FieldSet")."""
    entry = {"manager": manager, "operation": "Apply", "apiVersion": "v1", "time": _TIME, "fieldsType": "FieldsV1"}
    return {**entry, "fieldsV1": _owned(fields)}


def _owned(value: Any) -> Object:
    if isinstance(value, dict):
        return {f"f:{key}": _owned(each) for key, each in value.items() if key not in {"managedFields", "uid"}}
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        keys = ("name", "mountPath", "type", "ip", "key", "uid")
        named = ((next((key for key in keys if key in each), ""), each) for each in value)
        items = itertools.count()
        return {f'k:{{"{key}":"{each.get(key, next(items))}"}}': {".": {}, **_owned(each)} for key, each in named}
    return {}
