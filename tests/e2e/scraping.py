"""A Prometheus outside the cluster, which scrapes our pods by the API server's proxy, as its administrator.

Debian's Prometheus is built without the discovery of Kubernetes' objects, so a file lists the pods, which Prometheus
reads again whenever it changes.
"""

from __future__ import annotations

import base64
import json
import threading
import urllib.parse
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import yaml

from deploy.demo import installation
from deploy.demo.errors import DemoError
from deploy.demo.installation import CHART, NAMESPACE, RELEASE
from deploy.local import binaries
from tests.integration.loopback import free_port
from tests.support.prometheus_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.demo.kube import Kube
    from tests.support.prometheus_server import Server

TARGETS: Final = "targets.json"
PATHS: Final = {"webhook": ("/metrics",), "reconciler": ("/metrics", "/metrics/storages")}
FOLLOW_SECONDS: Final = 5
"""How often to look for other pods of the installation; a look takes kubectl 0.15 s of a processor."""
OF_API_SERVER: Final = "apiserver_admission_webhook_.*"
"""The only series of an API server that our rules read; it has tens of thousands."""


@contextmanager
def watching(kube: Kube, directory: Path, kubeconfig: Path) -> Iterator[Server]:
    """Run a Prometheus that scrapes our pods and the API server, with the chart's rules, until the block ends.

    It follows the pods: a rollout or a new leader is in Prometheus after the next look.

    Args:
        kube: The cluster.
        directory: Where Prometheus keeps everything.
        kubeconfig: The local cluster's.
    """
    write_targets(kube, directory, kubeconfig)
    ended = threading.Event()
    follower = threading.Thread(target=_follow, args=(kube, directory, kubeconfig, ended))
    scraped = configuration(directory, kubeconfig)
    with serving(directory, free_port(), scraped, chart_rules(kube)) as server:
        follower.start()
        try:
            yield server
        finally:
            ended.set()
            follower.join()


def chart_rules(kube: Kube) -> dict[str, Any]:
    """Render what the chart gives to Prometheus' operator: the rules with objectives and addresses of runbooks."""
    rendered = kube.run_helm(
        *("template", RELEASE, CHART, f"--namespace={NAMESPACE}", f"--kube-version={binaries.KUBERNETES_VERSION}"),
        *("--show-only=templates/monitoring/rules.yaml", "--set=monitoring.enabled=true"),
    )
    rules: dict[str, Any] = yaml.safe_load(rendered)["spec"]
    return rules


def _follow(kube: Kube, directory: Path, kubeconfig: Path, ended: threading.Event) -> None:
    while not ended.wait(FOLLOW_SECONDS):
        try:
            write_targets(kube, directory, kubeconfig)
        except DemoError:
            continue  # The API server is away, as drills have it; Prometheus keeps the pods that it knows.


def configuration(directory: Path, kubeconfig: Path) -> list[dict[str, Any]]:
    """Write the administrator's certificate into a directory, and return what Prometheus has to scrape."""
    read = json.loads(kubeconfig.read_text())
    cluster = read["clusters"][0]["cluster"]
    data = cluster | read["users"][0]["user"]
    files = {"ca": "certificate-authority", "cert": "client-certificate", "key": "client-key"}
    for name, field in files.items():
        file = directory / f"{name}.pem"
        file.touch(mode=0o600)
        file.write_bytes(base64.b64decode(data[f"{field}-data"]))
    https = {"scheme": "https", "tls_config": {f"{name}_file": str(directory / f"{name}.pem") for name in files}}
    ours = {"honor_labels": True, "file_sd_configs": [{"files": [str(directory / TARGETS)]}]}
    api_server = {
        "static_configs": [{"targets": [_address(cluster)], "labels": {"instance": "apiserver"}}],
        # Its answer has megabytes.
        "scrape_interval": "15s",
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": OF_API_SERVER, "action": "keep"}],
    }
    return [{"job_name": "session-storage", **https, **ours}, {"job_name": "apiserver", **https, **api_server}]


def write_targets(kube: Kube, directory: Path, kubeconfig: Path) -> None:
    """List the pods of both processes as they are now, with the labels that a PodMonitor gives to their targets."""
    server = _address(json.loads(kubeconfig.read_text())["clusters"][0]["cluster"])
    targets = [
        {"targets": [server], "labels": _labels(pod["metadata"]["name"], path)}
        for pod in installation.pods(kube)
        # A hook's pod has no metrics.
        for path in PATHS.get(pod["metadata"]["labels"]["app.kubernetes.io/component"], ())
    ]
    # Renamed, because Prometheus may read the file at any moment.
    written = directory / f"{TARGETS}.new"
    written.write_text(json.dumps(targets))
    written.rename(directory / TARGETS)


def _address(cluster: dict[str, str]) -> str:
    return urllib.parse.urlsplit(cluster["server"]).netloc


def _labels(pod: str, path: str) -> dict[str, str]:
    proxied = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy{path}"
    return {"__metrics_path__": proxied, "instance": pod, "pod": pod, "namespace": NAMESPACE, "metrics_path": path}
