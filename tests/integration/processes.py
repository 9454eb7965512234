"""Our processes as tests start and end them, and the wait for what they bring about."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Process:
    """The webhook or the reconciler as a process, which a test can start again and again."""

    def __init__(
        self, module: str, environ: dict[str, str], log: Path, command: Sequence[str | Path] | None = None
    ) -> None:
        self._module = module
        self._command = command or [sys.executable, "-m", module]
        self.environ = environ
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self._command],
                env=os.environ | self.environ,
                cwd=ROOT,
                stderr=log,
                stdout=log,
                stdin=subprocess.DEVNULL,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.poll() is None, f"{self._module} ended: {self.log}"
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def await_ready(self, seconds: float = 30) -> None:
        eventually(lambda: "ok" in self.read("/readyz"), seconds=seconds, what=f"{self._module} ready: {self.log}")

    def read(self, path: str) -> str:
        """Read a page from the port for probes and metrics."""
        url = f"http://127.0.0.1:{self.environ['HTTP_PORT']}{path}"
        with urllib.request.urlopen(url, timeout=1) as response:
            content: bytes = response.read()
        return content.decode()

    def metric(self, name: str) -> float | None:
        """Read a metric, labels included; None if it is absent."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.read("/metrics"), re.MULTILINE)
        return float(found[1]) if found else None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)


@contextlib.contextmanager
def running_kubelet(kubeconfig: Path, directory: Path, first_address: int = 1) -> Iterator[None]:
    """Run the Valkey servers of a cluster's pods on this machine, until the block ends.

    Args:
        kubeconfig: The administrator's.
        directory: For the servers' files.
        first_address: Number of the first pod's address; clusters side by side need addresses apart.
    """
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.integration.kubelet"]
    process = subprocess.Popen([*command, str(kubeconfig), str(directory), str(first_address)], cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def eventually(condition: Callable[[], bool], *, seconds: float = 30, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, KeyError, AssertionError):
            if condition():
                return
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.05)
