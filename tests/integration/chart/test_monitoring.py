"""What the chart gives to a Prometheus; Helm renders, and no cluster is asked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.objects.resources import Object
from tests.integration.chart.pods import template
from tests.integration.installation import CHART, NAMESPACE, RELEASE, chart_objects, helm_template
from tests.support.alert_rules import RUNBOOKS, alerts, recordings

OPERATOR = "--api-versions=monitoring.coreos.com/v1"
KINDS = {"PodMonitor", "PrometheusRule"}
COMPONENT = "__meta_kubernetes_pod_label_app_kubernetes_io_component"


def of_kind(objects: list[Object], kind: str) -> Object:
    (found,) = [obj for obj in objects if obj["kind"] == kind]
    return found


def rendered_rules(*values: str) -> list[dict[str, Any]]:
    groups = of_kind(chart_objects("monitoring.enabled=true", *values), "PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize(
    ("values", "options", "is_monitored"),
    [
        ((), (), False),
        ((), (OPERATOR,), True),
        (("monitoring.enabled=true",), (), True),
        (("monitoring.enabled=false",), (OPERATOR,), False),
    ],
)
def test_by_itself_the_chart_has_a_pod_monitor_and_rules_where_the_operator_is(
    values: tuple[str, ...], options: tuple[str, ...], *, is_monitored: bool
) -> None:
    kinds = [obj["kind"] for obj in chart_objects(*values, options=options) if obj["kind"] in KINDS]
    assert sorted(kinds) == (sorted(KINDS) if is_monitored else [])


def test_one_pod_monitor_finds_both_processes_and_both_paths() -> None:
    objects = chart_objects("monitoring.enabled=true")
    spec = of_kind(objects, "PodMonitor")["spec"]
    (expression,) = spec["selector"]["matchExpressions"]
    by_path = {endpoint["path"]: endpoint for endpoint in spec["podMetricsEndpoints"]}
    assert by_path.keys() == {"/metrics", "/metrics/storages"}
    for component in ("webhook", "reconciler"):
        pod = template(objects, component)
        labels = pod["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        assert labels[expression["key"]] in expression["values"]
        (container,) = pod["spec"]["containers"]
        assert {port["name"] for port in container["ports"]} >= {endpoint["port"] for endpoint in by_path.values()}
    kept = {path: endpoint["relabelings"][0] for path, endpoint in by_path.items()}
    assert all((rule["action"], rule["sourceLabels"]) == ("keep", [COMPONENT]) for rule in kept.values())
    assert re.fullmatch(kept["/metrics"]["regex"], "webhook")
    assert re.fullmatch(kept["/metrics/storages"]["regex"], "reconciler")
    assert not re.fullmatch(kept["/metrics/storages"]["regex"], "webhook")
    assert all(endpoint["honorLabels"] for endpoint in by_path.values())


def test_the_two_targets_of_a_pod_have_different_labels() -> None:
    """Otherwise they share the series `up`, and Prometheus drops one of every two values."""
    for endpoint in of_kind(chart_objects("monitoring.enabled=true"), "PodMonitor")["spec"]["podMetricsEndpoints"]:
        assert {"action": "replace", "sourceLabels": ["__metrics_path__"], "targetLabel": "metrics_path"} in endpoint[
            "relabelings"
        ]


def test_labels_interval_and_relabelings_are_values() -> None:
    relabeling = "action=labeldrop,monitoring.podMonitor.{0}[0].regex={1}"
    objects = chart_objects(
        "monitoring.enabled=true",
        "monitoring.podMonitor.labels.release=prometheus",
        "monitoring.rules.labels.role=alert-rules",
        "monitoring.podMonitor.interval=1m",
        f"monitoring.podMonitor.relabelings[0].{relabeling.format('relabelings', 'container')}",
        f"monitoring.podMonitor.metricRelabelings[0].{relabeling.format('metricRelabelings', 'cmd')}",
    )
    monitor = of_kind(objects, "PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert of_kind(objects, "PrometheusRule")["metadata"]["labels"]["role"] == "alert-rules"
    for endpoint in monitor["spec"]["podMetricsEndpoints"]:
        assert endpoint["interval"] == "1m"
        assert endpoint["relabelings"][-1] == {"action": "labeldrop", "regex": "container"}
        assert endpoint["metricRelabelings"] == [{"action": "labeldrop", "regex": "cmd"}]


def test_the_rules_are_those_of_the_file_each_alert_with_the_address_of_its_runbook() -> None:
    rendered = [rule for rule in rendered_rules() if "alert" in rule]
    assert [(rule["alert"], rule["expr"], rule["labels"]) for rule in rendered] == [
        (alert.name, alert.expression, dict(alert.labels)) for alert in alerts()
    ]
    for rule, alert in zip(rendered, alerts(), strict=True):
        address = rule["annotations"].pop("runbook_url")
        assert (RUNBOOKS.parents[1] / address).is_file()
        assert rule["annotations"] == alert.annotations
    elsewhere = rendered_rules("monitoring.rules.runbooks=https://wiki.example.com/valkey/")
    addresses = {rule["annotations"]["runbook_url"] for rule in elsewhere if "alert" in rule}
    assert "https://wiki.example.com/valkey/SessionStorageDown.md" in addresses


def test_the_objectives_are_values() -> None:
    changed = rendered_rules("monitoring.objectives.availability=99.5", "monitoring.objectives.sessionsKept=99")
    recorded = {rule["record"]: str(rule["expr"]) for rule in changed if "record" in rule}
    assert recorded == recordings() | {
        "session_storage:availability:objective": "99.5 / 100",
        "session_storage:sessions_kept:objective": "99 / 100",
    }


@pytest.mark.parametrize("host_network", ["true", "false"])
def test_annotations_lead_a_prometheus_without_the_operator_to_both_paths(host_network: str) -> None:
    objects = chart_objects("monitoring.annotations=true", f"webhook.hostNetwork={host_network}")
    for component in ("webhook", "reconciler"):
        pod = template(objects, component)
        (port,) = [port["containerPort"] for port in pod["spec"]["containers"][0]["ports"] if port["name"] == "http"]
        assert pod["metadata"]["annotations"].items() >= scraped(port, "/metrics").items()
    (service,) = [obj for obj in objects if obj["metadata"].get("annotations") == scraped(8080, "/metrics/storages")]
    assert service["kind"] == "Service"
    assert service["spec"]["selector"].items() <= template(objects, "reconciler")["metadata"]["labels"].items()
    assert not service["spec"]["selector"].items() <= template(objects, "webhook")["metadata"]["labels"].items()


def scraped(port: int, path: str) -> dict[str, str]:
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(port), "prometheus.io/path": path}


def test_without_annotations_pods_are_as_before_and_there_is_no_further_service() -> None:
    objects = chart_objects()
    assert "prometheus.io" not in str(objects)
    assert [obj["kind"] for obj in objects].count("Service") == 1


def test_every_prometheus_reaches_what_it_scrapes() -> None:
    policies = [obj for obj in chart_objects() if obj["kind"] == "NetworkPolicy"]
    assert {obj["metadata"]["name"] for obj in policies} == {f"{RELEASE}-webhook", f"{RELEASE}-reconciler"}
    for policy in policies:
        assert policy["metadata"]["namespace"] == NAMESPACE
        open_to_all = [rule for rule in policy["spec"]["ingress"] if "from" not in rule]
        assert "http" in {port["port"] for rule in open_to_all for port in rule["ports"]}


def test_nobody_but_those_named_reaches_metrics_and_everybody_the_webhook() -> None:
    peer = "monitoring.scrapedFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=monitoring"
    named = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    policies = [obj for obj in chart_objects(peer) if obj["kind"] == "NetworkPolicy"]
    admitted = {
        (obj["metadata"]["name"], port["port"]): rule.get("from")
        for obj in policies
        for rule in obj["spec"]["ingress"]
        for port in rule["ports"]
    }
    assert admitted == {
        (f"{RELEASE}-reconciler", "http"): named,
        (f"{RELEASE}-webhook", "http"): named,
        (f"{RELEASE}-webhook", "https"): None,
    }


@pytest.mark.parametrize(
    ("values", "is_told"),
    [
        ((), False),
        (("monitoring.enabled=true",), True),
        (("monitoring.enabled=true", "monitoring.podMonitor.labels.release=prometheus"), True),
        (
            (
                "monitoring.enabled=true",
                "monitoring.podMonitor.labels.release=prometheus",
                "monitoring.rules.labels.release=prometheus",
            ),
            False,
        ),
    ],
)
def test_who_installs_without_labels_is_told_that_prometheus_may_select_by_them(
    values: tuple[str, ...], tmp_path: Path, *, is_told: bool
) -> None:
    chart = shutil.copytree(CHART, tmp_path / "chart")
    # `helm template` prints no notes.
    notes = 'notes: {{ include (print $.Template.BasePath "/NOTES.txt") . | quote }}\n'
    (chart / "templates/notes.yaml").write_text(notes)
    options = [f"--set={value}" for value in values]
    rendered = helm_template("--show-only=templates/notes.yaml", *options, chart=chart)
    assert rendered.returncode == 0, rendered.stderr
    told = yaml.safe_load(rendered.stdout)["notes"]
    assert ("monitoring.podMonitor.labels.release=" in told) == is_told
    assert f'installed as "{RELEASE}"' in told
