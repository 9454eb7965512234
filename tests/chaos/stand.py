"""A stand: one storage on the cluster and an MCP server that uses it. Faults strike it, and it must recover."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import Surprise
from deploy.demo.kube import until
from deploy.demo.proxies import Proxies, is_ready
from deploy.demo.storages import KIND, condition
from shared import names
from shared.session_storage.sizes import PRESETS, Size
from tests.chaos import nodes, processes
from tests.chaos.api import CORE, NAMESPACE, SLICES, STORAGES
from tests.e2e.storages import seconds_to_ready, server, storage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deploy.demo.images import Images
    from deploy.demo.kube import Kube, Object
    from tests.chaos.api import Api

SWITCHOVER: Final = f"{names.GROUP}/switchover"
RECOVERY_SECONDS: Final = 180
"""Time for Kubernetes to schedule a replica anew, and for the replica to start, load its file and synchronize."""
PROXIES: Final = 2
SERVERS: Final = "mcpservers.toolhive.stacklok.dev"


@dataclass(frozen=True)
class Stand:
    """A storage and an MCP server of the same name.

    Attributes:
        kube: The cluster, through kubectl.
        api: The cluster's API server.
        images: The images that run on the cluster.
        name: Name of both objects.
    """

    kube: Kube
    api: Api
    images: Images
    name: str

    def make(self, size: Size) -> float:
        """Create both, and return the seconds that the storage took from `kubectl apply` to Ready."""
        self.remove()
        took = seconds_to_ready(self.kube, storage(self.name, NAMESPACE, size=size.value))
        pair = {"replicas": PROXIES, "sessionAffinity": "None", "sessionStorageRef": self.name}
        self.kube.apply(server(self.name, NAMESPACE, self.images.mcp_server, **pair))
        self.proxies.await_ready(PROXIES)
        self.await_recovered()
        return took

    def remove(self) -> None:
        """Delete both, data included, and wait until they are gone."""
        self.kube.run("delete", SERVERS, self.name, "--ignore-not-found", namespace=NAMESPACE)
        # The webhook refuses the deletion until its cache no longer has the consumer.
        delete = ("delete", KIND, self.name, "--ignore-not-found")
        until(f"{self.name} may go", lambda: not self.kube.refusal(*delete, namespace=NAMESPACE), RECOVERY_SECONDS)
        rest = ("pods,pvc", NAMESPACE, f"--selector={names.LABEL_STORAGE}={self.name}")
        until(f"nothing of {self.name} is left", lambda: not self.kube.items(*rest), RECOVERY_SECONDS)

    @property
    def proxies(self) -> Proxies:
        """The proxies of the MCP server."""
        return Proxies(self.kube, self.name, NAMESPACE)

    def storage(self) -> Object:
        """Read the storage; empty while the API server does not answer."""
        return self.api.read(f"{STORAGES}/{self.name}")

    def pods(self) -> list[Object]:
        """List the storage's Valkey pods, terminating ones included."""
        found = self.api.read(f"{CORE}/pods?labelSelector={names.LABEL_STORAGE}%3D{self.name}")
        return list(found.get("items", []))

    def primary(self) -> Object:
        """Find the pod to which the Service leads.

        Raises:
            Surprise: The Service leads to no pod.
        """
        if (found := self._served_pod()) is None:
            raise Surprise(f"the Service of {self.name} leads to no pod")
        return found

    def _served_pod(self) -> Object | None:
        endpoints = self.api.read(f"{SLICES}/{names.valkey(self.name)}")
        return pod_of(endpoints, self.pods())

    def await_recovered(self) -> None:
        """Wait until the storage is as it should be, with all instances in sync."""
        until(f"{self.name} has recovered", lambda: is_recovered(self.storage(), self.pods()), RECOVERY_SECONDS)

    def replace_restarted(self) -> None:
        """Replace pods whose container was restarted, because kubelet's back-off grows with each restart."""
        for pod in self.pods():
            if processes.restarts(pod):
                self.kube.run("delete", "pod", pod["metadata"]["name"], namespace=NAMESPACE)
                self.await_recovered()

    def have_primary(self, is_right: Callable[[Object], bool]) -> Object:
        """Cordon the nodes of all wrong pods until the primary's pod is a right one, and return that pod.

        A switchover by request would not do: it prefers the replica with the smallest number.
        """
        wrong = {pod["spec"]["nodeName"] for pod in self.pods() if not is_right(pod)}

        def has_moved() -> bool:
            found = self._served_pod()
            return found is not None and is_right(found)

        with ExitStack() as cordons:
            for node in wrong:
                cordons.enter_context(nodes.cordoned(self.kube, node))
            until(f"{self.name} has another primary", has_moved, RECOVERY_SECONDS)
        self.await_recovered()
        return self.primary()

    def await_gone(self, container: str) -> None:
        """Wait until the API server shows that the storage's container with this ID has ended."""

        def is_gone() -> bool:
            pods = self.pods()
            # No pods at all: the API server does not answer, or has yet to create their successors.
            return bool(pods) and container not in map(processes.container_id, pods)

        until(f"the container {container[:12]} has ended", is_gone, RECOVERY_SECONDS)

    def await_restarted(self, pod: Object, server: int) -> None:
        """Wait until the instance that had this pod has another server than this one."""

        def is_so() -> bool:
            name = pod["metadata"]["name"]
            found = next((each for each in self.pods() if each["metadata"]["name"] == name), None)
            return found is not None and processes.server_of(found) not in {None, server}

        until(f"{pod['metadata']['name']} has another server", is_so, RECOVERY_SECONDS)

    def await_moved(self, uid: str) -> None:
        """Wait until the Service leads to another pod than the one with this UID."""

        def is_so() -> bool:
            found = self._served_pod()
            return found is not None and found["metadata"]["uid"] != uid

        until(f"{self.name} has another primary", is_so, RECOVERY_SECONDS)

    def change(self, changed: Object) -> None:
        """Patch the storage."""
        self.api.patch(f"{STORAGES}/{self.name}", changed)

    def switch_over(self) -> None:
        """Ask for a switchover by annotation, as an administrator does."""
        self.change({"metadata": {"annotations": {SWITCHOVER: datetime.now(UTC).isoformat()}}})


def pod_of(endpoints: Object, pods: Sequence[Object]) -> Object | None:
    """Find the pod that a storage's EndpointSlice names; None if it names none, or one that is no more. Pure.

    Args:
        endpoints: The EndpointSlice; its first endpoint is the primary.
        pods: All of the storage's Valkey pods.
    """
    named = [endpoint.get("targetRef", {}) for endpoint in endpoints.get("endpoints") or ()][:1]
    keys = [(target.get("name"), target.get("uid")) for target in named]
    return next((pod for pod in pods if (pod["metadata"]["name"], pod["metadata"]["uid"]) in keys), None)


def is_recovered(storage: Object, pods: Sequence[Object]) -> bool:
    """Tell whether a storage's status says that all is well, and its pods confirm it. Pure.

    Args:
        storage: The SessionStorage; empty if the API server did not answer.
        pods: All of its Valkey pods.
    """
    if not storage:
        return False
    status = storage.get("status", {})
    if status.get("observedGeneration") != storage["metadata"]["generation"]:
        return False
    wanted = PRESETS[Size(storage["spec"]["size"])].replicas
    true = {kind for kind in ("Ready", "Redundant", "Updating") if condition(storage, kind).get("status") == "True"}
    is_settled = "Ready" in true and "Updating" not in true and ("Redundant" in true or wanted == 1)
    staying = [pod for pod in pods if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
    are_there = len(staying) == len(pods) == wanted
    return is_settled and are_there and all(instance.get("synced", True) for instance in status.get("nodes", []))
