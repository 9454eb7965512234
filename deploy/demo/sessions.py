"""Steps in which a session goes on while proxies and Valkey are replaced."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from deploy.demo import samples, storages
from deploy.demo.errors import Surprise
from deploy.demo.proxies import Proxies
from deploy.demo.stage import NAMESPACE, SERVER, STORAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.demo.mcp_session import McpSession
    from deploy.demo.stage import Stage

REPLICAS: Final = 2
SERVERS: Final = "mcpservers.toolhive.stacklok.dev"


def apply_example(stage: Stage) -> None:
    """Apply the README's first example, after removing what an earlier run of it left.

    Raises:
        Surprise: kubectl printed a warning.
    """
    remove_leftovers(stage)
    stage.narrator.did(
        f"kubectl apply -f deploy/samples/{samples.QUICKSTART.name}, with {stage.images.mcp_server} as the MCP server's"
        " image, because its tool `count` shows which session answers"
    )
    begun = time.monotonic()
    applied = stage.kube.apply_with_warnings(*samples.load(samples.QUICKSTART, stage.images, NAMESPACE))
    if applied.warnings:
        raise Surprise(f"the example must apply without a warning, but kubectl printed: {applied.warnings}")
    for line in applied.lines:
        stage.narrator.saw(line)
    stage.kube.await_condition(f"{storages.KIND}/{STORAGE}", "condition=Ready", NAMESPACE)
    stage.narrator.saw(f"the storage is Ready {time.monotonic() - begun:.1f} s after kubectl was called")
    stage.narrator.saw(stage.kube.run("get", storages.KIND, STORAGE, namespace=NAMESPACE))


def remove_leftovers(stage: Stage) -> None:
    """Delete the server and the storage of an earlier run, data included, so that this run shows every step."""
    found = [
        (kind, name)
        for kind, name in ((SERVERS, SERVER), (storages.KIND, STORAGE))
        if stage.kube.get(kind, name, NAMESPACE)
    ]
    for kind, name in found:
        stage.narrator.did(f"kubectl delete {kind} {name}, which an earlier run left")
        stage.kube.run("delete", kind, name, namespace=NAMESPACE)
    stage.kube.await_condition(f"pvc/data-{storages.valkey_pod(STORAGE)}", "delete", NAMESPACE)


def show_wiring(stage: Stage) -> Proxies:
    """Show what the webhook wrote into the MCP server, and wait for both of its proxies."""
    server = stage.kube.get(SERVERS, SERVER, NAMESPACE) or {}
    wired = server.get("spec", {}).get("sessionStorage")
    if not wired:
        raise Surprise("the MCPServer was stored without spec.sessionStorage: the webhook did not wire it")
    stage.narrator.saw(f"the webhook wrote spec.sessionStorage: {json.dumps(wired)}")
    proxies = Proxies(stage.kube, SERVER, NAMESPACE)
    stage.narrator.saw(f"ready: {', '.join(proxies.await_ready(REPLICAS))}")
    return proxies


def open_session(stage: Stage, proxies: Proxies) -> McpSession:
    """Open a session through the first proxy pod."""
    pod = proxies.await_ready(REPLICAS)[0]
    stage.narrator.did(f"initialize, and call the tool count, through {pod}")
    session, count = proxies.open_session(pod)
    stage.narrator.saw(f"Mcp-Session-Id {session.id}, count {count}")
    _expect(count, 1)
    return session


def switch_proxy(stage: Stage, proxies: Proxies, session: McpSession) -> None:
    """Continue through the other proxy pod."""
    _continue(stage, proxies, session, proxies.await_ready(REPLICAS)[1:], 2)


def restart_proxies(stage: Stage, proxies: Proxies, session: McpSession) -> None:
    """Delete both proxy pods, and continue through their successors."""
    stage.narrator.did("kubectl delete pod, for both proxies at once")
    _continue(stage, proxies, session, proxies.restart(), 3)


def kill_valkey(stage: Stage, proxies: Proxies, session: McpSession) -> None:
    """Kill the Valkey pod; a medium storage keeps its data."""
    stage.narrator.did(f"kubectl delete pod {STORAGE}-valkey-0-0 --force --grace-period=0")
    storages.kill_valkey(stage.kube, NAMESPACE, STORAGE)
    stage.narrator.saw("the next pod is ready")
    _continue(stage, proxies, session, proxies.await_ready(REPLICAS), 5)


def _continue(stage: Stage, proxies: Proxies, session: McpSession, pods: Sequence[str], next_count: int) -> None:
    for expected, pod in enumerate(pods, next_count):
        stage.narrator.did(f"call the tool count with the same Mcp-Session-Id through {pod}")
        count = proxies.count(pod, session)
        stage.narrator.saw(f"count {count}")
        _expect(count, expected)


def _expect(count: int, expected: int) -> None:
    if count != expected:
        raise Surprise(f"the session's counter says {count} and should say {expected}: it is not the same session")
