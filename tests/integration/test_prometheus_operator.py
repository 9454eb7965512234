"""The Prometheus operator's own CRDs take what the chart gives to the operator. To fetch them takes a second, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
import yaml

from deploy.local.gomodule import GoModule
from shared.objects.resources import Object
from tests.integration.control_plane import Kubectl
from tests.integration.installation import chart_objects

MODULE: Final = GoModule("github.com/prometheus-operator/prometheus-operator", "v0.85.0")
PLURALS: Final = ("podmonitors", "prometheusrules")


@pytest.fixture
def operator_crds(kubectl: Kubectl) -> Iterator[None]:
    directory = MODULE.directory("example/prometheus-operator-crd", "prometheus-operator-crds")
    files = [directory / f"monitoring.coreos.com_{plural}.yaml" for plural in PLURALS]
    crds: list[Object] = [yaml.safe_load(file.read_text()) for file in files]
    kubectl.apply(*crds)
    names = [f"crd/{crd['metadata']['name']}" for crd in crds]
    kubectl("wait", "--for=condition=Established", *names)
    yield
    kubectl("delete", *names)


@pytest.mark.usefixtures("operator_crds")
def test_the_api_server_takes_the_pod_monitor_and_the_rules_and_knows_every_field(kubectl: Kubectl) -> None:
    relabeling = "[0].action=labeldrop,monitoring.podMonitor.{0}[0].regex=container"
    objects = chart_objects(
        "monitoring.enabled=true",
        *(f"monitoring.podMonitor.{name}{relabeling.format(name)}" for name in ("relabelings", "metricRelabelings")),
    )
    ours = [obj for obj in objects if obj["apiVersion"] == "monitoring.coreos.com/v1"]
    assert sorted(obj["kind"] for obj in ours) == ["PodMonitor", "PrometheusRule"]
    for obj in ours:
        obj["metadata"]["namespace"] = "default"
    manifest = yaml.safe_dump_all(ours)
    said = kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifest)
    assert said.count("serverside-applied") == len(ours)
