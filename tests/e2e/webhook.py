"""Restarts, deletes, stops and starts the webhook's pods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.demo.images import Images
from deploy.demo.installation import NAMESPACE, PODS, RELEASE
from deploy.demo.kube import Kube, Object, until
from tests.e2e.conftest import Run

DEPLOYMENT = f"deployment/{RELEASE}-webhook"
SELECTOR = f"--selector={PODS},app.kubernetes.io/component=webhook"
ROLLOUT_SECONDS = 90
DEAF = "session-storage-e2e-deaf"
DEAF_PORT = 8443


def pods(kube: Kube) -> set[str]:
    """List the pods that are not being deleted."""
    return {pod["metadata"]["name"] for pod in _all(kube) if "deletionTimestamp" not in pod["metadata"]}


def _all(kube: Kube) -> list[Object]:
    return kube.items("pods", NAMESPACE, SELECTOR)


def keep_logs(run: Run) -> None:
    """Keep the logs of the pods before they are deleted."""
    run.logs.append(run.kube.run("logs", SELECTOR, "--tail=-1", "--ignore-errors", namespace=NAMESPACE))


def await_recovered(kube: Kube) -> None:
    kube.run("rollout", "status", DEPLOYMENT, f"--timeout={ROLLOUT_SECONDS}s", namespace=NAMESPACE)


def restart(kube: Kube) -> None:
    """Replace all pods in a rollout."""
    kube.run("rollout", "restart", DEPLOYMENT, namespace=NAMESPACE)
    await_recovered(kube)


def delete_one_by_one(kube: Kube) -> None:
    """Delete the pods one by one, each once the previous one has a successor."""
    for pod in sorted(pods(kube)):
        kube.run("delete", "pod", pod, namespace=NAMESPACE)
        await_recovered(kube)


def stop(kube: Kube) -> None:
    kube.run("scale", DEPLOYMENT, "--replicas=0", namespace=NAMESPACE)
    until("no pod of the webhook is left", lambda: not _all(kube), ROLLOUT_SECONDS)


def start(kube: Kube) -> None:
    kube.run("scale", DEPLOYMENT, "--replicas=2", namespace=NAMESPACE)
    await_recovered(kube)


@contextmanager
def deaf(run: Run) -> Iterator[None]:
    """Direct calls of the webhook to a pod that accepts connections and never answers."""
    kube = run.kube
    service = kube.run("get", "service", f"{RELEASE}-webhook", "--output=json", namespace=NAMESPACE)
    kube.apply(deaf_pod(run.images))
    kube.await_condition(f"pod/{DEAF}", "condition=Ready", NAMESPACE)
    lead(kube, {"app": DEAF})
    try:
        yield
    finally:
        lead(kube, json.loads(service)["spec"]["selector"])
        kube.run("delete", "pod", DEAF, "--grace-period=0", "--force", namespace=NAMESPACE)


def lead(kube: Kube, selector: dict[str, str]) -> None:
    """Choose the pods that get the calls of the webhook."""
    patch = json.dumps([{"op": "replace", "path": "/spec/selector", "value": selector}])
    kube.run("patch", "service", f"{RELEASE}-webhook", "--type=json", f"--patch={patch}", namespace=NAMESPACE)


def deaf_pod(images: Images) -> Object:
    listening = f'import socket, time; s = socket.create_server(("", {DEAF_PORT})); time.sleep(3600)'
    container = {
        "name": "deaf",
        "image": images.product,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", listening],
        "ports": [{"name": "https", "containerPort": DEAF_PORT}],
        "readinessProbe": {"tcpSocket": {"port": DEAF_PORT}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": DEAF, "namespace": NAMESPACE, "labels": {"app": DEAF}},
        "spec": {"containers": [container]},
    }
