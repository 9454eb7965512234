"""Draws the dashboards from what the local cluster does in the next minutes: `python -m tests.pictures`.

A Prometheus scrapes the installation meanwhile; run `make chaos` or a drill beside it, so that there is something to
see. The pictures are those of docs/howto/dashboards.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from deploy.dashboards import DASHBOARDS
from deploy.demo.kube import Kube
from deploy.local import paths
from tests.e2e.scraping import watching
from tests.pictures import browser
from tests.pictures.page import WIDTH, Source, height, page
from tests.support.prometheus_server import Server, Window

IMAGES = paths.REPOSITORY / "docs" / "images"
POINTS = 240
"""In each graph."""


def draw(server: Server, window: Window, namespace: str, storage: str) -> None:
    """Draw every dashboard into docs/images."""
    span = f"{int(window.end - window.start)}s"
    values = {"namespace": namespace, "storage": storage, "__rate_interval": "2m", "__range": span}
    for dashboard in DASHBOARDS:
        drawn = page(dashboard, Source(server, window, values))
        browser.picture(drawn, IMAGES / f"dashboard-{dashboard.name}.png", WIDTH + 24, height(dashboard))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", required=True, help="namespace of the storage that the second dashboard shows")
    parser.add_argument("--storage", required=True, help="its name")
    parser.add_argument("--minutes", type=float, default=30, help="how long to watch the cluster")
    asked = parser.parse_args()
    kube, since = Kube.of(os.environ), time.time()
    with tempfile.TemporaryDirectory() as name, watching(kube, Path(name), paths.kubeconfig()) as server:
        time.sleep(60 * asked.minutes)
        now = time.time()
        draw(server, Window(since, now, (now - since) / POINTS), asked.namespace, asked.storage)


if __name__ == "__main__":
    main()
