"""ToolHive's proxies of one consumer: their pods, and sessions through each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.demo import mcp_session
from deploy.demo.errors import Surprise
from deploy.demo.kube import until
from deploy.local.readiness import has_condition, is_rolled_out

if TYPE_CHECKING:
    from deploy.demo.kube import Kube, Object
    from deploy.demo.mcp_session import McpSession

COUNT: Final = "count"
"""The tool of the demonstration's MCP server that counts per session."""
START_SECONDS: Final = 120
"""From nothing to ready: the backend first, then the proxies, each seen to take up to 25 s."""
PASSWORD_VARIABLE: Final = "THV_SESSION_REDIS_PASSWORD"
"""Environment variable with the store's password for ToolHive's proxies (its `pkg/runner/config.go`)."""


@dataclass(frozen=True)
class ProxyKind:
    """What proxies of one kind of consumer have in common.

    Attributes:
        label: Their `app.kubernetes.io/name`, which is the consumer's kind in lower case.
        port: Port on which they listen by default.
    """

    label: str
    port: int


MCP_SERVER: Final = ProxyKind("mcpserver", 8080)
MCP_REMOTE_PROXY: Final = ProxyKind("mcpremoteproxy", 8080)
VIRTUAL_MCP_SERVER: Final = ProxyKind("virtualmcpserver", 4483)


@dataclass(frozen=True)
class Proxies:
    """The proxy pods of one consumer."""

    kube: Kube
    server: str
    namespace: str
    kind: ProxyKind = MCP_SERVER

    def pods(self) -> list[Object]:
        """List the pods that are not being deleted."""
        selector = f"app.kubernetes.io/name={self.kind.label},app.kubernetes.io/instance={self.server}"
        found = self.kube.items("pods", self.namespace, f"--selector={selector}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def await_ready(self, count: int, *, other_than: frozenset[str] = frozenset()) -> list[str]:
        """Wait until exactly `count` pods are ready and settled, none with a uid in `other_than`; name them."""

        def ready() -> list[str] | None:
            pods = self.pods()
            uids = {pod["metadata"]["uid"] for pod in pods}
            is_so = len(pods) == count and not uids & other_than and all(map(is_ready, pods))
            return sorted(pod["metadata"]["name"] for pod in pods) if is_so and self._are_settled() else None

        return until(f"{count} proxies of {self.server} are ready", ready, START_SECONDS)

    def _are_settled(self) -> bool:
        """Tell whether the Deployment follows the consumer, and all rollouts are complete: then the ready pods stay."""
        targets = (f"{resource}/{self.server}" for resource in (self.kind.label, "deployment", "statefulset"))
        found = self.kube.existing(self.namespace, *targets)
        consumer = found.pop(self.kind.label)
        return follows_consumer(consumer, found["deployment"]) and all(map(is_rolled_out, found.values()))

    def restart(self) -> list[str]:
        """Delete all proxies at once, and return the names of their successors."""
        pods = self.pods()
        names = [pod["metadata"]["name"] for pod in pods]
        self.kube.run("delete", "pod", *names, "--wait=false", namespace=self.namespace)
        return self.await_ready(len(pods), other_than=frozenset(pod["metadata"]["uid"] for pod in pods))

    def open_session(self, pod: str) -> tuple[McpSession, int]:
        """Open a session through one proxy pod, count once, and return both."""
        session, said = self.open(pod, COUNT)
        return session, _number(said)

    def count(self, pod: str, session: McpSession) -> int:
        """Count once more in a session, through one proxy pod."""
        return _number(self.call(pod, session, COUNT))

    def open(self, pod: str, tool: str) -> tuple[McpSession, str]:
        """Open a session through one proxy pod, call a tool, and return the session and what the tool said."""
        with self.kube.forwarded(pod, self.kind.port, self.namespace) as port:
            return mcp_session.opened(_url(port), tool)

    def call(self, pod: str, session: McpSession, tool: str) -> str:
        """Call a tool in a session, through one proxy pod, and return what it said."""
        with self.kube.forwarded(pod, self.kind.port, self.namespace) as port:
            return mcp_session.continued(_url(port), session, tool)


def is_ready(pod: Object) -> bool:
    """Tell whether a pod is ready."""
    return has_condition(pod, "Ready")


def follows_consumer(consumer: Object, deployment: Object) -> bool:
    """Tell whether a proxy Deployment reads the password of the store that its consumer names, and no other."""
    reference = consumer["spec"].get("sessionStorage", {}).get("passwordRef")
    containers = deployment["spec"]["template"]["spec"]["containers"]
    variables = [variable for container in containers for variable in container.get("env", [])]
    told = [each["valueFrom"]["secretKeyRef"] for each in variables if each["name"] == PASSWORD_VARIABLE]
    return [(each["name"], each["key"]) for each in told] == (
        [(reference["name"], reference["key"])] if reference else []
    )


def _number(said: str) -> int:
    if not said.isdigit():
        raise Surprise(f"the tool {COUNT} answered {said}")
    return int(said)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/mcp"
