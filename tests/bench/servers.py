"""The webhook servers that the benchmark compares: one process each, all on the same processor."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from certs.pki import issue, validation
from certs.pki.pem import bundle_pem
from deploy.local import binaries
from tests.bench import image, programs
from tests.bench.cases import PATH, STORAGES
from tests.integration.loopback import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from shared.objects.resources import Key

ROOT: Final = Path(__file__).parents[2]
SERVICE: Final = ("session-storage-webhook", "session-storage-system")
NAME: Final = validation.dns_names(*SERVICE)[0]
"""The DNS name in the certificate of every server; clients connect under this name."""
START_SECONDS: Final = 30

OURS: Final = "this webhook"
BEFORE: Final = "this webhook, before"
"""The webhook of another checkout, if `--before` names one."""
NET_HTTP: Final = "Go, net/http by hand"
CONTROLLER_RUNTIME: Final = "Go, controller-runtime"


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        name: Its name in the report's tables.
        port: Its port on 127.0.0.1.
        pid: Its process ID.
        authority: File with the certificate of the authority that signed the server's own.
    """

    name: str
    port: int
    pid: int
    authority: Path

    @property
    def resident_mb(self) -> float:
        """Resident memory, in millions of bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def processor_seconds(self) -> float:
        """Processor time of all its threads so far."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def ask(self, body: bytes) -> bytes:
        """Post one review on a new connection, and return the answer's body."""
        connection = http.client.HTTPSConnection(NAME, context=ssl.create_default_context(cafile=str(self.authority)))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        connection.sock = ssl.create_default_context(cafile=str(self.authority)).wrap_socket(
            plain, server_hostname=NAME
        )
        with contextlib.closing(connection):
            connection.request("POST", PATH, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        assert answer.status == http.client.OK, content
        return content


@dataclass(frozen=True)
class _Start:
    port: int
    command: Sequence[str | Path]
    environment: Mapping[str, str]


@contextlib.contextmanager
def running(
    directory: Path, root: Path, processor: int, before: tuple[Path, Path] | None = None
) -> Iterator[list[Server]]:
    """Run all servers with one certificate on one processor until the block ends.

    Args:
        directory: Directory for their files.
        root: Directory with our unpacked image.
        processor: Number of the processor.
        before: Another checkout whose webhook to run as well, and the directory with its unpacked image.
    """
    _write_certificates(directory, SERVICE)
    _write_storages(directory, STORAGES)
    with contextlib.ExitStack() as stack:
        servers = []
        starts = {OURS: _our_start(image.command(root, "tests.bench.webhook", directory), free_port())}
        if before is not None:
            checkout, unpacked = before
            command = image.command(unpacked, "tests.bench.webhook", directory, checkout)
            starts[BEFORE] = _our_start(command, free_port())
        starts |= {name: _go_start(name, directory, free_port(), "1") for name in (NET_HTTP, CONTROLLER_RUNTIME)}
        for name, start in starts.items():
            servers.append(stack.enter_context(_running(name, start, directory, processor)))
        for server in servers:
            _await(server)
        yield servers


@contextlib.contextmanager
def controller_runtime(directory: Path, service: tuple[str, str], storages: Iterable[Key]) -> Iterator[Server]:
    """Run only the webhook on controller-runtime, on all processors, until the block ends.

    Args:
        directory: Directory for its files.
        service: Name and namespace of the Service that the API server calls.
        storages: The storages that the webhook knows.
    """
    directory.mkdir()
    _write_certificates(directory, service)
    _write_storages(directory, storages)
    start = _go_start(CONTROLLER_RUNTIME, directory, free_port())
    with _running(CONTROLLER_RUNTIME, start, directory) as server:
        yield server


def _write_storages(directory: Path, storages: Iterable[Key]) -> None:
    (directory / "storages.json").write_text(json.dumps(["/".join(key) for key in storages]))


def _write_certificates(directory: Path, service: tuple[str, str]) -> None:
    now = datetime.now(UTC)
    authority = issue.issue_authority(now)
    leaf = issue.issue_serving(authority, validation.dns_names(*service), now)
    (directory / "authority.pem").write_bytes(bundle_pem([authority.certificate]))
    (directory / "certificate.pem").write_bytes(leaf.certificate_pem)
    (directory / "key.pem").write_bytes(leaf.key_pem)


@contextlib.contextmanager
def _running(name: str, start: _Start, directory: Path, processor: int | None = None) -> Iterator[Server]:
    pinned = [] if processor is None else ["taskset", "--cpu-list", str(processor)]
    with (directory / f"{name.replace('/', '-')}.log").open("wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *pinned, *start.command],
            env={**os.environ, **start.environment},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Server(name, start.port, process.pid, directory / "authority.pem")
    finally:
        process.kill()
        process.wait()


def _our_start(command: Sequence[str | Path], port: int) -> _Start:
    service, namespace = SERVICE
    environment = {
        "POD_NAMESPACE": namespace,
        "WEBHOOK_SERVICE": service,
        "TLS_SECRET": "session-storage-webhook-tls",
        "WEBHOOK_PORT": str(port),
        "HTTP_PORT": "0",
    }
    return _Start(port, command, environment)


def _go_start(name: str, directory: Path, port: int, processors: str = "") -> _Start:
    program = programs.NET_HTTP if name == NET_HTTP else programs.CONTROLLER_RUNTIME
    options = {
        "address": f"127.0.0.1:{port}",
        "certificate": directory / "certificate.pem",
        "key": directory / "key.pem",
        "storages": directory / "storages.json",
    }
    command = [str(binaries.built(program)), *(f"-{option}={value}" for option, value in options.items())]
    return _Start(port, command, {"GOMAXPROCS": processors})


def _await(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.ask(b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1"}}')
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
