"""Alerts use existing metrics, and the documentation explains all alerts."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import REGISTRY

from certs import metrics as of_certificates
from webhook import metrics as of_webhook

ROOT = Path(__file__).parents[3]
ALERTS = (ROOT / "deploy/chart/templates/alerts.yaml").read_text()
GUIDE = (ROOT / "docs/howto/certificates.md").read_text()


def test_every_metric_of_an_alert_exists() -> None:
    assert of_certificates
    assert of_webhook
    families = {family.name for family in REGISTRY.collect()}
    known = families | {f"{name}_total" for name in families}
    named = set(re.findall(r"\bsession_storage_\w+", ALERTS))
    assert named
    assert named <= known


def test_every_alert_is_explained() -> None:
    alerts = re.findall(r"- alert: (\w+)", ALERTS)
    assert len(alerts) > 5
    assert [alert for alert in alerts if f"`{alert}`" not in GUIDE] == []


def test_every_metric_of_the_certificates_is_explained() -> None:
    mine = {
        family.name
        for family in REGISTRY.collect()
        if re.search(r"certificate|ca_bundle|serving|pods_seen", family.name)
    }
    assert [name for name in mine if name not in GUIDE] == []
