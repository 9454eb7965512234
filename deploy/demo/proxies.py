"""ToolHive's proxies of one MCPServer: where they are, and what sessions they carry on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.demo import mcp_session
from deploy.demo.kube import until

if TYPE_CHECKING:
    from deploy.demo.kube import Kube, Object
    from deploy.demo.mcp_session import McpSession

PORT: Final = 8080
"""ToolHive's default for `spec.proxyPort`."""
START_SECONDS: Final = 120
"""From nothing to ready: the backend first, then the proxies, each seen to take up to 25 s."""


@dataclass(frozen=True)
class Proxies:
    """The proxy pods of one MCPServer."""

    kube: Kube
    server: str
    namespace: str

    def pods(self) -> list[Object]:
        """List the pods that are not on their way out."""
        selector = f"app.kubernetes.io/name=mcpserver,app.kubernetes.io/instance={self.server}"
        found = self.kube.items("pods", self.namespace, f"--selector={selector}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def await_ready(self, count: int, *, other_than: frozenset[str] = frozenset()) -> list[str]:
        """Wait until exactly so many pods are there and ready, none of them with one of these uids; name them."""

        def ready() -> list[str] | None:
            pods = self.pods()
            uids = {pod["metadata"]["uid"] for pod in pods}
            is_so = len(pods) == count and not uids & other_than and all(map(is_ready, pods))
            return sorted(pod["metadata"]["name"] for pod in pods) if is_so else None

        return until(f"{count} proxies of {self.server} are ready", ready, START_SECONDS)

    def restart(self) -> list[str]:
        """Take all proxies away at once, and name those that come after them."""
        pods = self.pods()
        names = [pod["metadata"]["name"] for pod in pods]
        self.kube.run("delete", "pod", *names, "--wait=false", namespace=self.namespace)
        return self.await_ready(len(pods), other_than=frozenset(pod["metadata"]["uid"] for pod in pods))

    def open_session(self, pod: str) -> tuple[McpSession, int]:
        """Open a session through one proxy pod, count once, and return both."""
        with self.kube.forwarded(pod, PORT, self.namespace) as port:
            return mcp_session.opened(_url(port))

    def count(self, pod: str, session: McpSession) -> int:
        """Count once more in a session, through one proxy pod."""
        with self.kube.forwarded(pod, PORT, self.namespace) as port:
            return mcp_session.counted(_url(port), session)


def is_ready(pod: Object) -> bool:
    """Tell whether a pod is ready."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/mcp"
