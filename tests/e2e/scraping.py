"""How a Prometheus outside the cluster scrapes our pods: by the API server's proxy, as its administrator.

Debian's Prometheus is built without the discovery of Kubernetes' objects, so a file lists the pods, which Prometheus
reads again whenever it changes.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from typing import TYPE_CHECKING, Any, Final

from deploy.demo import installation
from deploy.demo.installation import NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.demo.kube import Kube

TARGETS: Final = "targets.json"
PATHS: Final = {"webhook": ("/metrics",), "reconciler": ("/metrics", "/metrics/storages")}


def configuration(directory: Path, kubeconfig: Path) -> list[dict[str, Any]]:
    """Write the administrator's certificate into a directory, and return what Prometheus has to scrape."""
    read = json.loads(kubeconfig.read_text())
    data = read["clusters"][0]["cluster"] | read["users"][0]["user"]
    files = {"ca": "certificate-authority", "cert": "client-certificate", "key": "client-key"}
    for name, field in files.items():
        file = directory / f"{name}.pem"
        file.touch(mode=0o600)
        file.write_bytes(base64.b64decode(data[f"{field}-data"]))
    return [
        {
            "job_name": "session-storage",
            "scheme": "https",
            "tls_config": {f"{name}_file": str(directory / f"{name}.pem") for name in files},
            "honor_labels": True,
            "file_sd_configs": [{"files": [str(directory / TARGETS)]}],
        }
    ]


def write_targets(kube: Kube, directory: Path, kubeconfig: Path) -> None:
    """List the pods of both processes as they are now, with the labels that a PodMonitor gives to their targets."""
    server = urllib.parse.urlsplit(json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]).netloc
    targets = [
        {"targets": [server], "labels": _labels(pod["metadata"]["name"], path)}
        for pod in installation.pods(kube)
        for path in PATHS[pod["metadata"]["labels"]["app.kubernetes.io/component"]]
    ]
    # Renamed, because Prometheus may read the file at any moment.
    written = directory / f"{TARGETS}.new"
    written.write_text(json.dumps(targets))
    written.rename(directory / TARGETS)


def _labels(pod: str, path: str) -> dict[str, str]:
    proxied = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy{path}"
    return {"__metrics_path__": proxied, "instance": pod, "pod": pod, "namespace": NAMESPACE, "metrics_path": path}
