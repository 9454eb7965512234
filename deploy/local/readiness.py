"""Waits for the conditions under which the cluster counts as up."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from deploy.local import api, controlplane, progress

# Each was seen to take under 15 s on 2 idle cores.
DEADLINE_SECONDS = 180
# Fields of a pod's status that list its containers; an init container may run on beside the others.
CONTAINERS = ("initContainerStatuses", "containerStatuses")
# Fields of the status of a Deployment or a StatefulSet, and of a DaemonSet, that count pods.
OF_REPLICAS = ("replicas", "updatedReplicas", "availableReplicas")
OF_DAEMON_SETS = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable")


@dataclass(frozen=True)
class Workload:
    """A Deployment or DaemonSet.

    Attributes:
        resource: Its kind in the paths of the API: `deployments` or `daemonsets`.
        namespace: Its namespace.
        name: Its name.
    """

    resource: str
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """Where the API server has it."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/{self.resource}/{self.name}"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def wait(what: str, is_true: Callable[[], bool], log: Path) -> None:
    """Wait for a condition, and say that it came true.

    Raises:
        StepFailed: It did not in time.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    with progress.heartbeat(what):
        while not is_true():
            if time.monotonic() > deadline:
                raise progress.failure(f"waiting: {what}", f"not so after {DEADLINE_SECONDS} s", log)
            time.sleep(api.RETRY_SECONDS)
    progress.step(what)


def has_condition(resource: Any | None, condition: str) -> bool:
    """Tell whether there is an object, and its condition of this type is true."""
    conditions = (resource or {}).get("status", {}).get("conditions", [])
    return any(entry["type"] == condition and entry["status"] == "True" for entry in conditions)


def is_rolled_out(workload: Any | None) -> bool:
    """Tell whether a workload, if there is one, runs its latest version in full and no other."""
    if workload is None:
        return False
    status = workload.get("status", {})
    is_observed = status.get("observedGeneration", 0) >= workload["metadata"]["generation"]
    is_on_each_node = "desiredNumberScheduled" in status
    wanted = status["desiredNumberScheduled"] if is_on_each_node else workload["spec"]["replicas"]
    counts = {status.get(field, 0) for field in (OF_DAEMON_SETS if is_on_each_node else OF_REPLICAS)}
    return bool(is_observed) and counts == {wanted}


def serves(client: api.Client) -> bool:
    """Tell whether the control plane admits pods: the controller manager has made the first service account."""
    return client.answers(controlplane.FIRST_ACCOUNT)


def node_is_ready(client: api.Client, name: str, taints: Collection[str]) -> bool:
    """Tell whether a node is ready and open for pods: it has no taints but those with these keys."""
    node = client.get(f"/api/v1/nodes/{name}") or {}
    return has_condition(node, "Ready") and {taint["key"] for taint in node["spec"].get("taints", [])} <= set(taints)


def workload_is_ready(client: api.Client, workload: Workload) -> bool:
    """Tell whether a workload runs in full."""
    return is_rolled_out(client.get(workload.path))


def is_up_to_date(pods: Iterable[Any], boot: datetime) -> bool:
    """Tell whether no container's status dates from before its node booted.

    A pod that is not ready proves nothing: the controller manager marks the pods of a silent node so, and leaves
    their containers' status as it was until the kubelet reports.

    Args:
        pods: All pods of a node.
        boot: When that node booted.
    """
    statuses = (pod["status"] for pod in pods)
    containers = chain.from_iterable(status.get(kind, ()) for status in statuses for kind in CONTAINERS)
    started = (
        datetime.fromisoformat(running["startedAt"])
        for container in containers
        if (running := container.get("state", {}).get("running"))
    )
    # Kubernetes writes whole seconds, rounded down.
    return all(moment + timedelta(seconds=1) > boot for moment in started)


def node_is_ready_since(client: api.Client, name: str, taints: Collection[str], boot: datetime) -> bool:
    """Tell whether a node is ready, and what the API server knows of its pods is from after the node booted."""
    return node_is_ready(client, name, taints) and _has_reported(client, name, boot)


def _has_reported(client: api.Client, name: str, boot: datetime) -> bool:
    pods = client.get(f"/api/v1/pods?fieldSelector=spec.nodeName={name}")
    return pods is not None and is_up_to_date(pods["items"], boot)


def survey(client: api.Client, nodes: Mapping[str, Collection[str]], workloads: Iterable[Workload]) -> dict[str, bool]:
    """Tell for each part of a cluster whether it is ready.

    Args:
        client: Asks its API server.
        nodes: The keys of the taints that each node has by design, by its name.
        workloads: What runs on the nodes.
    """
    return {
        "control plane": serves(client),
        **{f"node {name}": node_is_ready(client, name, taints) for name, taints in nodes.items()},
        **{f"{each.resource.removesuffix('s')} {each}": workload_is_ready(client, each) for each in workloads},
    }
