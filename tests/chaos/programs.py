"""Programs of this suite that run in a pod each, beside the storage that they use."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.local.topology import NODES
from shared import names
from tests.chaos.api import CORE, NAMESPACE
from tests.chaos.wire import HANDED
from tests.e2e import clients

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploy.demo.kube import Object
    from tests.chaos.stand import Stand

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ("tests/chaos/wire.py", "tests/chaos/writer.py", "tests/chaos/rotating/prober.py")
DIRECTORY: Final = "/programs"
CONFIG_MAP: Final = "programs"


@dataclass(frozen=True)
class Program:
    """A program at work.

    Attributes:
        stand: The storage that it uses.
        module: What it is.
        environment: Beyond the storage's address.
    """

    stand: Stand
    module: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its pod."""
        return f"{self.module.rpartition('.')[2]}-{self.stand.name}"

    def start(self, **spec: object) -> None:
        """Start it on another node than the primary's.

        Args:
            spec: What its pod's is besides.
        """
        away = next(node.name for node in reversed(NODES) if node.name != self.stand.primary()["spec"]["nodeName"])
        self.remove()
        self.stand.kube.apply(sources(), manifest(self, away, spec))

    def said(self, *options: str) -> list[str]:
        """Read what it has printed."""
        if self._phase() in {"", "Pending"}:
            return []
        return self.stand.kube.run("logs", self.name, *options, namespace=NAMESPACE).splitlines()

    def address(self) -> str:
        """Its pod's address."""
        found: str = self._pod()["status"]["podIP"]
        return found

    def end(self) -> list[str]:
        """Have it come to its end, and read all that it has printed."""
        clients.end(self.stand.kube, self.name, NAMESPACE, self._phase)
        return self.said()

    def remove(self) -> None:
        """Take its pod away."""
        options = ("--ignore-not-found", "--force", "--grace-period=0")
        self.stand.kube.run("delete", "pod", self.name, *options, namespace=NAMESPACE)

    def _phase(self) -> str:
        found: str = self._pod().get("status", {}).get("phase", "")
        return found

    def _pod(self) -> Object:
        return self.stand.api.read(f"{CORE}/pods/{self.name}")


def sources() -> Object:
    """Write the ConfigMap that has all programs."""
    data = {_key(source): (ROOT / source).read_text() for source in SOURCES}
    metadata = {"name": CONFIG_MAP, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def manifest(program: Program, node: str, spec: Mapping[str, object]) -> Object:
    """Write its pod; the node is named, so that cordons are nothing to it.

    It passes for a proxy, and not for a holder of the credential: it reads that anew, and no rotation waits for it.
    """
    stand = program.stand
    environment = {"VALKEY_HOST": names.valkey_host(stand.name, NAMESPACE), **program.environment}
    pod = clients.client(program.name, NAMESPACE, stand.images)
    pod = clients.program(pod, stand.images, ["python", "-Bm", program.module], environment)
    pod["spec"]["containers"][0] |= {
        "workingDir": DIRECTORY,
        "volumeMounts": [
            {"name": "programs", "mountPath": DIRECTORY},
            {"name": "handed", "mountPath": str(HANDED.parent)},
        ],
    }
    items = [{"key": _key(source), "path": source} for source in SOURCES]
    pod["spec"]["volumes"] = [
        {"name": "programs", "configMap": {"name": CONFIG_MAP, "items": items}},
        {"name": "handed", "secret": {"secretName": names.connection_secret(stand.name)}},
    ]
    pod["spec"] |= {"nodeName": node, **spec}
    return pod


def _key(source: str) -> str:
    return source.replace("/", ".")
