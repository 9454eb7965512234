"""A webhook pod where there are no nodes: a process on this machine, and a Pod object for it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.integration.installation import NAMESPACE, RELEASE
from tests.integration.processes import Process

if TYPE_CHECKING:
    from shared.objects.resources import Object

SERVICE = f"{RELEASE}-webhook"
CONTROLLER = "system:serviceaccount:kube-system:replicaset-controller"
"""Whose pods alone API servers accept with the webhook's service account and labels."""


def replica_set() -> Object:
    """Build an owner for the pods, which its controller leaves alone: its selector finds none of them."""
    labels = {"app": "nobody"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "none", "image": "none"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": f"{SERVICE}-5d4f8c7b6", "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


class Replica:
    """One webhook pod: a process, and the Pod object that says where it is and whether it is ready."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.process = process
        self.port = int(process.environ["WEBHOOK_PORT"])
        self.is_ready = False
        self.failures = 0

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def pod(self, owner: Object) -> Object:
        """Build the Pod object.

        Args:
            owner: The ReplicaSet that it belongs to.
        """
        # The pod has the address on which its process listens, and needs no scheduling.
        container = {
            "name": "webhook",
            "image": "webhook",
            "ports": [{"name": "https", "containerPort": self.port}],
            "securityContext": {"allowPrivilegeEscalation": False},
        }
        labels = {
            "app.kubernetes.io/name": "toolhive-session-storage",
            "app.kubernetes.io/instance": RELEASE,
            "app.kubernetes.io/component": "webhook",
        }
        reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True}
        owners = [reference | {key: owner["metadata"][key] for key in ("name", "uid")}]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": labels, "ownerReferences": owners},
            "spec": {"schedulerName": "nobody", "serviceAccountName": SERVICE, "containers": [container]},
        }

    @property
    def status(self) -> Object:
        ready = {"type": "Ready", "status": str(self.is_ready)}
        address = {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
        status = {"phase": "Running", **address, "conditions": [ready]}
        return {"metadata": {"name": self.name, "namespace": NAMESPACE}, "status": status}
