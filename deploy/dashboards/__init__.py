"""Dashboards for Grafana: `python -m deploy.dashboards` writes their JSON into the chart."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deploy.dashboards.fleet import FLEET
from deploy.dashboards.storage import STORAGE
from deploy.dashboards.webhook import WEBHOOK

DASHBOARDS: Final = (FLEET, STORAGE, WEBHOOK)
FOLDER: Final = Path(__file__).parents[1] / "chart" / "files" / "dashboards"
