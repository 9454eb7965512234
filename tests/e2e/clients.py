"""Pods with a Valkey client, labelled like a proxy, which may read a connection Secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deploy.demo import samples
from deploy.demo.images import Images
from deploy.demo.kube import Kube, Object, until
from deploy.demo.refusals import PATIENCE_SECONDS

END_SECONDS = 120
PROXY_LABELS = {"toolhive.stacklok.dev/component": "proxy"}


def client(name: str, namespace: str, images: Images, secret: str = "") -> Object:
    """Build the pod; it does not start before its Secret exists."""
    (pod,) = samples.load(samples.OWN / "stranger.yaml", images, namespace)
    pod["metadata"] |= {"name": name, "labels": PROXY_LABELS}
    if secret:
        pod["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": secret}}]
    return pod


def program(pod: Object, images: Images, command: list[str], environment: Mapping[str, str]) -> Object:
    """Change a client's pod so that it runs a Python program once instead."""
    container = pod["spec"]["containers"][0]
    container |= {"image": images.mcp_server, "command": command}
    container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
    container["resources"] = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    pod["spec"]["restartPolicy"] = "Never"
    return pod


def end(kube: Kube, name: str, namespace: str, phase: Callable[[], str]) -> None:
    """Send SIGTERM to a pod's program, and wait until it has ended; `phase` reads the pod's phase."""
    kube.run("exec", name, "--", "sh", "-c", "kill -TERM 1", namespace=namespace)
    until(f"{name} has ended", lambda: phase() in {"Succeeded", "Failed"}, END_SECONDS)


def await_client(kube: Kube, name: str, namespace: str) -> None:
    kube.await_condition(f"pod/{name}", "condition=Ready", namespace)


def keys(kube: Kube, name: str, namespace: str, host: str) -> list[str]:
    """List the keys that the client may read; the password stays in the pod's environment."""
    return ask(kube, name, namespace, host, "--scan").split()


def ask(kube: Kube, name: str, namespace: str, host: str, command: str) -> str:
    """Return Valkey's answer; empty if the pod cannot reach it."""
    asked = f"REDISCLI_AUTH=$REDIS_PASSWORD timeout {PATIENCE_SECONDS} valkey-cli -h {host} {command} 2>&1 || true"
    answered = kube.run("exec", name, "--", "sh", "-c", asked, namespace=namespace).strip()
    return "" if "Could not connect" in answered else answered
