"""Runs a control plane on ports of this worker, and kubectl as its administrator."""

from __future__ import annotations

import contextlib
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from deploy.local import binaries
from deploy.local.controlplane import Endpoints
from deploy.local.loopback import ControlPlane
from shared.objects.resources import Object
from tests.integration.api import Api
from tests.integration.loopback import free_port


@contextlib.contextmanager
def running_control_plane(directory: Path, *api_server_flags: str) -> Iterator[ControlPlane]:
    """Run a control plane on ports of this worker until the block ends; it costs 5 s of processor time and 0.7 GiB."""
    endpoints = Endpoints("127.0.0.1", free_port(), free_port(), free_port())
    control_plane = ControlPlane(directory, endpoints, *api_server_flags)
    try:
        control_plane.start()
        yield control_plane
    finally:
        control_plane.stop()


class Kubectl:
    """kubectl, as the administrator, for what users see and for whole manifests."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._command = [str(binaries.binary("kubernetes")), "kubectl", f"--kubeconfig={kubeconfig}"]

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run([*self._command, *arguments], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @functools.cached_property
    def api(self) -> Api:
        """A client of the same API server, for tests that ask again and again."""
        return Api(self.kubeconfig)

    def apply(self, *objects: Object) -> None:
        self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def warns(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that succeeds, and return the warnings that kubectl printed."""
        done = subprocess.run([*self._command, *arguments], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def fails(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run([*self._command, *arguments], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr
