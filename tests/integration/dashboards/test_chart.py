"""The chart gives Grafana's sidecar what it looks for; Helm renders it without a cluster, in a second."""

from __future__ import annotations

import subprocess

import yaml

from deploy.dashboards import DASHBOARDS
from deploy.local import binaries, helm
from shared.objects.resources import Object
from tests.support.chart import CHART

OPERATOR = "--api-versions=monitoring.coreos.com/v1"


def dashboards(*options: str) -> list[Object]:
    version = f"--kube-version={binaries.KUBERNETES_VERSION}"
    command = (str(helm.helm()), "template", "ours", str(CHART), "--namespace=system", version, *options)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [obj for obj in yaml.safe_load_all(done.stdout) if obj and obj["kind"] == "ConfigMap"]
    return [obj for obj in found if any(key.endswith(".json") for key in obj["data"])]


def test_each_dashboard_is_a_config_map_with_the_label_that_the_sidecar_looks_for() -> None:
    found = dashboards(OPERATOR)
    assert {obj["metadata"]["name"] for obj in found} == {f"ours-dashboard-{each.name}" for each in DASHBOARDS}
    assert {obj["metadata"]["labels"]["grafana_dashboard"] for obj in found} == {"1"}
    assert {obj["metadata"]["namespace"] for obj in found} == {"system"}
    files = {key: text for obj in found for key, text in obj["data"].items()}
    assert files == {f"session-storage-{each.name}.json": each.text().strip() for each in DASHBOARDS}


def test_without_the_operator_there_is_none_until_somebody_asks_for_it() -> None:
    assert dashboards() == []
    assert len(dashboards("--set=monitoring.dashboards.enabled=true")) == len(DASHBOARDS)
    assert dashboards(OPERATOR, "--set=monitoring.dashboards.enabled=false") == []
    assert dashboards(OPERATOR, "--set=monitoring.enabled=false") == []


def test_a_team_chooses_namespace_labels_and_folder() -> None:
    values = "namespace=grafana,labels.grafana_dashboard=yes,annotations.grafana_folder=Session storage"
    chosen = ",".join(f"monitoring.dashboards.{each}" for each in values.split(","))
    for obj in dashboards(OPERATOR, f"--set-string={chosen}"):
        assert obj["metadata"]["namespace"] == "grafana"
        assert obj["metadata"]["labels"]["grafana_dashboard"] == "yes"
        assert obj["metadata"]["annotations"] == {"grafana_folder": "Session storage"}
