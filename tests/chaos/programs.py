"""Runs this suite's client programs, each in a pod of its own beside the storage that it uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from deploy.demo.kube import until
from deploy.local.topology import NODES
from shared import names
from tests.chaos import processes
from tests.chaos.api import CORE, NAMESPACE
from tests.e2e import clients

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deploy.demo.kube import Object
    from tests.chaos.stand import Stand

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ("shared/tls.py", "tests/chaos/wire.py", "tests/chaos/writer.py", "tests/chaos/rotating/prober.py")
DIRECTORY: Final = "/programs"
CONFIG_MAP: Final = "programs"
CONNECTION: Final = "/connection"
"""Where a pod has the files of the connection Secret."""


@dataclass(frozen=True)
class Program:
    """A client program in a pod.

    Attributes:
        stand: The storage that it uses.
        kind: The beginning of its pod's name.
        image: The image that has it.
        command: What the pod runs.
        environment: Its environment variables besides the storage's address and the file with the password.
    """

    stand: Stand
    kind: str
    image: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def python(cls, stand: Stand, module: str, environment: Mapping[str, str]) -> Self:
        """Describe a program that is one of the Python modules in `SOURCES`."""
        command = ("python", "-Bm", module)
        return cls(stand, module.rpartition(".")[2], stand.images.mcp_server, command, environment)

    @property
    def name(self) -> str:
        """The name of its pod."""
        return f"{self.kind}-{self.stand.name}"

    def start(self, **spec: object) -> None:
        """Start it on another node than the primary's.

        Args:
            spec: Further fields of the pod's spec.
        """
        away = next(node.name for node in reversed(NODES) if node.name != self.stand.primary()["spec"]["nodeName"])
        self.remove()
        self.stand.kube.apply(sources(), manifest(self, away, spec))

    def output(self, *options: str) -> list[str]:
        """Read the lines that it has printed, with these options of `kubectl logs`."""
        if self._phase() in {"", "Pending"}:
            return []
        return self.stand.kube.run("logs", self.name, *options, namespace=NAMESPACE).splitlines()

    def address(self) -> str:
        """Read the address of its pod."""
        found: str = self._pod()["status"]["podIP"]
        return found

    def end(self) -> list[str]:
        """Tell it to end, wait until it has, and read all that it has printed.

        The signal comes from this machine, because an image of a program alone has no shell to send one.
        """
        processes.terminate(processes.of_pod(self._pod()))
        until(f"{self.name} has ended", lambda: self._phase() in {"Succeeded", "Failed"}, clients.END_SECONDS)
        return self.output()

    def remove(self) -> None:
        """Delete its pod."""
        options = ("--ignore-not-found", "--force", "--grace-period=0")
        self.stand.kube.run("delete", "pod", self.name, *options, namespace=NAMESPACE)

    def _phase(self) -> str:
        found: str = self._pod().get("status", {}).get("phase", "")
        return found

    def _pod(self) -> Object:
        return self.stand.api.read(f"{CORE}/pods/{self.name}")


def sources() -> Object:
    """Write the ConfigMap with the source code of all programs."""
    data = {_key(source): (ROOT / source).read_text() for source in SOURCES}
    metadata = {"name": CONFIG_MAP, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def manifest(program: Program, node: str, spec: Mapping[str, object]) -> Object:
    """Write a program's pod.

    The pod names its node, so that a cordon cannot keep it away. It has the label of a proxy, which the storage's
    NetworkPolicy admits, but not the label of a consumer that holds the password: the program reads the password anew
    from its file, so no rotation has to wait for it.
    """
    stand = program.stand
    environment = {
        "VALKEY_HOST": names.valkey_host(stand.name, NAMESPACE),
        "PASSWORD_FILE": f"{CONNECTION}/{names.KEY_REDIS_PASSWORD}",
        **program.environment,
    }
    pod = clients.client(program.name, NAMESPACE, stand.images)
    pod = clients.program(pod, stand.images, list(program.command), environment)
    pod["spec"]["containers"][0] |= {
        "image": program.image,
        "workingDir": DIRECTORY,
        "volumeMounts": [
            {"name": "programs", "mountPath": DIRECTORY},
            {"name": "connection", "mountPath": CONNECTION},
        ],
    }
    items = [{"key": _key(source), "path": source} for source in SOURCES]
    pod["spec"]["volumes"] = [
        {"name": "programs", "configMap": {"name": CONFIG_MAP, "items": items}},
        {"name": "connection", "secret": {"secretName": names.connection_secret(stand.name)}},
    ]
    pod["spec"] |= {"nodeName": node, **spec}
    return pod


def _key(source: str) -> str:
    return source.replace("/", ".")
