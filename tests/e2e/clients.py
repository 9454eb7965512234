"""A pod with a Valkey client, that passes for a proxy and may be handed a connection Secret."""

from __future__ import annotations

from deploy.demo import samples
from deploy.demo.images import Images
from deploy.demo.kube import Kube, Object
from deploy.demo.refusals import PATIENCE_SECONDS

PROXY_LABELS = {"toolhive.stacklok.dev/component": "proxy"}


def client(name: str, namespace: str, images: Images, secret: str = "") -> Object:
    """Write the pod; without its Secret it does not start."""
    (pod,) = samples.load(samples.OWN / "stranger.yaml", images, namespace)
    pod["metadata"] |= {"name": name, "labels": PROXY_LABELS}
    if secret:
        pod["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": secret}}]
    return pod


def await_client(kube: Kube, name: str, namespace: str) -> None:
    kube.await_condition(f"pod/{name}", "condition=Ready", namespace)


def keys(kube: Kube, name: str, namespace: str, host: str) -> list[str]:
    """List the keys that the client's password lets it see; the password stays in the pod's environment."""
    return ask(kube, name, namespace, host, "--scan").split()


def ask(kube: Kube, name: str, namespace: str, host: str, command: str) -> str:
    """Return what Valkey answers; empty if the pod cannot reach it."""
    asked = f"REDISCLI_AUTH=$REDIS_PASSWORD timeout {PATIENCE_SECONDS} valkey-cli -h {host} {command} 2>&1 || true"
    answered = kube.run("exec", name, "--", "sh", "-c", asked, namespace=namespace).strip()
    return "" if "Could not connect" in answered else answered
