"""The webhook's pods: there, replaced or gone."""

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
    """Name the pods that are not on their way out."""
    return {pod["metadata"]["name"] for pod in _all(kube) if "deletionTimestamp" not in pod["metadata"]}


def _all(kube: Kube) -> list[Object]:
    return kube.items("pods", NAMESPACE, SELECTOR)


def keep_logs(run: Run) -> None:
    """Keep what the pods have said, before they are taken away."""
    run.logs.append(run.kube.run("logs", SELECTOR, "--tail=-1", "--ignore-errors", namespace=NAMESPACE))


def await_recovered(kube: Kube) -> None:
    kube.run("rollout", "status", DEPLOYMENT, f"--timeout={ROLLOUT_SECONDS}s", namespace=NAMESPACE)


def restart(kube: Kube) -> None:
    """Replace all pods by a rollout."""
    kube.run("rollout", "restart", DEPLOYMENT, namespace=NAMESPACE)
    await_recovered(kube)


def delete_one_by_one(kube: Kube) -> None:
    """Delete every pod, each when the one before it has a successor."""
    for pod in sorted(pods(kube)):
        kube.run("delete", "pod", pod, namespace=NAMESPACE)
        await_recovered(kube)


def stop(kube: Kube) -> None:
    kube.run("scale", DEPLOYMENT, "--replicas=0", namespace=NAMESPACE)
    until("no webhook is left", lambda: not _all(kube), ROLLOUT_SECONDS)


def start(kube: Kube) -> None:
    kube.run("scale", DEPLOYMENT, "--replicas=2", namespace=NAMESPACE)
    await_recovered(kube)


@contextmanager
def deaf(run: Run) -> Iterator[None]:
    """Lead whoever calls the webhook to a pod that takes connections and says nothing."""
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
    """Choose the pods that answer for the webhook."""
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
