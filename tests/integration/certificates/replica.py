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

    @property
    def pod(self) -> Object:
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
        return {
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": labels},
            "spec": {"schedulerName": "nobody", "serviceAccountName": SERVICE, "containers": [container]},
        }

    @property
    def status(self) -> Object:
        ready = {"type": "Ready", "status": str(self.is_ready)}
        address = {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
        status = {"phase": "Running", **address, "conditions": [ready]}
        return {"metadata": {"name": self.name, "namespace": NAMESPACE}, "status": status}
