"""The writer's pod: on which node it is, what it has seen."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import DemoError
from deploy.demo.kube import until
from deploy.local.topology import NODES
from shared import names
from tests.chaos.api import CORE, NAMESPACE
from tests.chaos.verdicts import acknowledged, verdict
from tests.e2e import clients

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.demo.kube import Object
    from tests.chaos.stand import Stand
    from tests.chaos.verdicts import Verdict

PROGRAM: Final = Path(__file__).with_name("writer.py").read_text()
STEADY_WRITES: Final = 500
"""About a second and a half."""
STEADY_SECONDS: Final = 120
VERDICT_SECONDS: Final = 120
PRIMARY_ROLE: Final = "master"
"""As `INFO` calls it."""


class NoVerdict(DemoError):
    """The writer ended without one that counts."""


@dataclass(frozen=True)
class Writing:
    """A writer at work."""

    stand: Stand

    @property
    def name(self) -> str:
        """Of its pod."""
        return f"writer-{self.stand.name}"

    def await_steady(self) -> None:
        """Wait until a good number of writes was acknowledged from now on."""
        before = self.acknowledged()
        until("writes are acknowledged", lambda: self.acknowledged() > before + STEADY_WRITES, STEADY_SECONDS)

    def acknowledged(self) -> int:
        """Tell how many writes were acknowledged."""
        return acknowledged(self._said("--tail=1"))

    def address(self) -> str:
        """Its pod's address."""
        found: str = self._pod()["status"]["podIP"]
        return found

    def end(self, struck: float) -> Verdict:
        """Have it come to a verdict about the fault that struck at this time.

        Raises:
            NoVerdict: It could not.
        """
        self.stand.kube.run("exec", self.name, "--", "sh", "-c", "kill -TERM 1", namespace=NAMESPACE)
        until(f"{self.name} has ended", lambda: self._phase() in {"Succeeded", "Failed"}, VERDICT_SECONDS)
        found = verdict(lines := self._said(), struck)
        if found is None:
            raise NoVerdict(f"the writer ended without a verdict: {lines[-1:]}")
        if found.role != PRIMARY_ROLE:
            raise NoVerdict(f"the Service led to a {found.role}")
        return found

    def _said(self, *options: str) -> list[str]:
        if self._phase() in {"", "Pending"}:
            return []
        return self.stand.kube.run("logs", self.name, *options, namespace=NAMESPACE).splitlines()

    def _phase(self) -> str:
        found: str = self._pod().get("status", {}).get("phase", "")
        return found

    def _pod(self) -> Object:
        return self.stand.api.read(f"{CORE}/pods/{self.name}")


@contextmanager
def writing(stand: Stand) -> Iterator[Writing]:
    """Have a pod write all the while, on another node than the primary's."""
    writer = Writing(stand)
    away = next(node.name for node in reversed(NODES) if node.name != stand.primary()["spec"]["nodeName"])
    _remove(writer)
    stand.kube.apply(manifest(writer, away))
    try:
        writer.await_steady()
        yield writer
    finally:
        _remove(writer)


def manifest(writer: Writing, node: str) -> Object:
    """Write its pod; the node is named, so that cordons are nothing to it."""
    stand = writer.stand
    pod = clients.client(writer.name, NAMESPACE, stand.images, names.connection_secret(stand.name))
    pod["metadata"]["labels"] = {**clients.PROXY_LABELS, names.LABEL_CONSUMER_OF: stand.name}
    container = pod["spec"]["containers"][0]
    container |= {"image": stand.images.mcp_server, "command": ["python", "-c", PROGRAM]}
    environment = {"VALKEY_HOST": names.valkey_host(stand.name, NAMESPACE), "KEY_PREFIX": "w:"}
    container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
    container["resources"] = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    pod["spec"] |= {"nodeName": node, "restartPolicy": "Never"}
    return pod


def _remove(writer: Writing) -> None:
    options = ("--ignore-not-found", "--force", "--grace-period=0")
    writer.stand.kube.run("delete", "pod", writer.name, *options, namespace=NAMESPACE)
