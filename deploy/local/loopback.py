"""Runs a control plane on loopback, for tests; this needs no root and leaves nothing behind."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from deploy.local import api, audit, binaries, controlplane, progress
from deploy.local.controlplane import Endpoints, Layout
from deploy.local.errors import StepFailed

# Seen: 5 s on 2 idle cores; twenty times that on a busy machine is still alive.
READY_DEADLINE_SECONDS = 120
STOP_DEADLINE_SECONDS = 5


class ControlPlane:
    """A control plane on loopback, for tests that need a real API server and no nodes.

    Attributes:
        kubeconfig: The administrator's kubeconfig.
        url: URL of the API server.
        logs: Directory with one log per process.
        audit_log: What the API server has noted down.
    """

    def __init__(self, directory: Path, endpoints: Endpoints, *api_server_flags: str) -> None:
        """Take where everything goes, and further flags for the API server."""
        self._flags = api_server_flags
        self._layout = Layout(binaries.binary("kubernetes"), directory)
        self._endpoints = endpoints
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.kubeconfig = directory / "pki" / "admin.kubeconfig"
        self.url = endpoints.url
        self.logs = directory / "logs"
        self.audit_log = audit.log(directory)

    @classmethod
    @contextmanager
    def on_loopback(cls, directory: Path) -> Iterator[Self]:
        """Run a control plane on free ports of 127.0.0.1 until the block ends.

        Its processes die with the thread that started them, even if that is killed.

        Args:
            directory: Emptied first; holds the kubeconfig, the logs and etcd's data.

        Raises:
            StepFailed: A process ended or was not ready in time; the message has its last lines.
        """
        api, etcd, etcd_peers = _free_ports(3)
        control_plane = cls(directory, Endpoints("127.0.0.1", api, etcd, etcd_peers))
        with ExitStack() as stack:
            stack.callback(control_plane.stop)
            control_plane.start()
            yield control_plane

    def start(self) -> None:
        """Start everything afresh and return once the API server serves pods' service accounts."""
        directory = self._layout.directory
        if directory.exists():
            shutil.rmtree(directory)
        controlplane.prepare(directory, self._endpoints)
        audit.install(directory)
        self.logs.mkdir()
        to_start = controlplane.commands(self._layout, self._endpoints)
        to_start["kube-apiserver"] += self._flags
        for name in controlplane.SERVERS:
            self._run(name, to_start.pop(name))
        self._await(controlplane.ADMISSION_TO_HEALTH)
        for name, command in to_start.items():
            self._run(name, command)
        self._await(controlplane.FIRST_ACCOUNT)

    def stop(self) -> None:
        """End all processes, the API server's clients before it."""
        for process in reversed(self._processes.values()):
            # The API server takes up to a minute to end by itself, and there is nothing to save.
            process.kill()
        for process in self._processes.values():
            process.wait(STOP_DEADLINE_SECONDS)
        self._processes.clear()

    def _run(self, name: str, command: Sequence[str]) -> None:
        with (self.logs / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _await(self, path: str) -> None:
        deadline = time.monotonic() + READY_DEADLINE_SECONDS
        client = api.Client(self.kubeconfig)
        while not client.answers(path):
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise self._failure(name, f"it ended with status {process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure("kube-apiserver", f"it was not ready in {READY_DEADLINE_SECONDS} s")
            time.sleep(api.RETRY_SECONDS)

    def _failure(self, name: str, cause: str) -> StepFailed:
        return progress.failure(f"starting {name}", cause, self.logs / f"{name}.log")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for bound in sockets:
            bound.bind(("127.0.0.1", 0))
        return [bound.getsockname()[1] for bound in sockets]
