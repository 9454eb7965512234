"""What Helm takes and refuses as values of the chart, alone and as a part of another chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.integration.installation import CHART, chart_objects, helm_template

if TYPE_CHECKING:
    from pathlib import Path

AGGREGATED = "rbac.authorization.k8s.io/aggregate-to-"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("webhook.port=443", "/webhook/port"),
        ("webhook.port=8080", "/webhook/port"),
        ("webhook.hostNetwork=true,webhook.port=10250", "/webhook/port"),
        ("webhook.timeoutSeconds=1", "/webhook/timeoutSeconds"),
        ("webhook.timeoutSeconds=11", "/webhook/timeoutSeconds"),
        ("webhook.dnsPolicy=None", "/webhook/dnsPolicy"),
        ("imagePullSecrets={mine}", "/imagePullSecrets/0"),
        ("podLabels.app\\.kubernetes\\.io/name=mine", "app.kubernetes.io/name"),
        ("commonLabels.rbac\\.authorization\\.k8s\\.io/aggregate-to-view=yes", "aggregate-to-view"),
        ("extraEnv[0].value=x", "/extraEnv/0"),
        ("monitoring.enabled=perhaps", "/monitoring/enabled"),
        ("monitoring.objectives.availability=100", "/monitoring/objectives/availability"),
        ("monitoring.podMonitor.interval=1.5h", "/monitoring/podMonitor/interval"),
        ("monitoring.dashboards.enabled=perhaps", "/monitoring/dashboards/enabled"),
        ("monitoring.dashboards.namespace=Grafana", "/monitoring/dashboards/namespace"),
    ],
)
def test_values_that_cannot_work_are_refused_by_name(value: str, said: str) -> None:
    refused = helm_template(f"--set={value}")
    assert refused.returncode != 0
    assert said in refused.stderr


@pytest.mark.parametrize("enabled", [True, False])
def test_another_chart_can_depend_on_this_one_by_condition(tmp_path: Path, *, enabled: bool) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    dependency = {"name": "toolhive-session-storage", "alias": "sessions", "version": version}
    dependencies = [{**dependency, "condition": "sessions.enabled"}]
    parent = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": dependencies}
    values = {"global": {"registry": "mine"}, "sessions": {"enabled": enabled, "logLevel": "DEBUG"}}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(parent))
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "toolhive-session-storage").symlink_to(CHART)
    rendered = helm_template(chart=tmp_path)
    assert rendered.returncode == 0, rendered.stderr
    kinds = [obj["kind"] for obj in yaml.safe_load_all(rendered.stdout) if obj]
    assert kinds.count("Deployment") == (2 if enabled else 0)
    assert kinds.count("CustomResourceDefinition") == (1 if enabled else 0)


def test_somebody_else_may_install_the_crd() -> None:
    left_out = [obj["kind"] for obj in chart_objects("crds.enabled=false")]
    assert "CustomResourceDefinition" not in left_out
    assert len(left_out) == len(chart_objects()) - 1


def test_the_crd_is_the_generated_one_to_the_letter() -> None:
    (crd,) = [obj for obj in chart_objects() if obj["kind"] == "CustomResourceDefinition"]
    assert crd == yaml.safe_load((CHART / "files" / "sessionstorages.crd.yaml").read_text())


@pytest.mark.parametrize("aggregates", ["true", "false"])
def test_kubernetes_own_roles_have_rights_on_storages_unless_a_value_says_otherwise(aggregates: str) -> None:
    objects = chart_objects(f"rbac.aggregateClusterRoles={aggregates}")
    labels = {
        obj["metadata"]["name"].rpartition("-")[2]: {
            label.removeprefix(AGGREGATED) for label in obj["metadata"]["labels"] if label.startswith(AGGREGATED)
        }
        for obj in objects
        if obj["kind"] == "ClusterRole"
    }
    wanted = {"edit": {"admin", "edit"}, "view": {"view"}, "use": {"admin"}} if aggregates == "true" else {}
    assert {role: to for role, to in labels.items() if to} == wanted
    assert labels.keys() >= {"edit", "view", "use"}
