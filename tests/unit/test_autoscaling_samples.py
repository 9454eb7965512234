"""The samples for autoscalers fit the server beside them, what the reconciler tells, and the labels of its pods."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from reconciler.metrics.exposition import Exposition
from reconciler.metrics.families import SESSIONS
from reconciler.metrics.storage_lines import session_lines
from shared.consumers.targets import Target
from webhook.admission import consumers
from webhook.admission.review import AdmissionRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.objects.resources import Object

SAMPLES: Final = Path(__file__).parents[2] / "deploy" / "samples" / "autoscaling"
SERVER: Final = SAMPLES / "server.yaml"
AUTOSCALERS: Final = sorted(set(SAMPLES.glob("*.yaml")) - {SERVER})
EACH: Final = pytest.mark.parametrize("path", AUTOSCALERS, ids=lambda path: path.stem)
SERIES: Final = re.compile(r"(?P<name>session_storage_\w+)\{(?P<labels>[^}]*)\}")
LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def storage_and_server() -> tuple[Object, Object]:
    storage, server = documents(SERVER)
    return storage, server


def autoscaler(path: Path) -> Object:
    (found,) = (each for each in documents(path) if each["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"})
    autoscaler: Object = found
    return autoscaler


def metadata_of_triggers(path: Path) -> list[dict[str, str]]:
    return [trigger["metadata"] for trigger in autoscaler(path)["spec"].get("triggers", [])]


def selected_series() -> Iterator[Any]:
    """Find what the samples ask for, as the name of a series and its labels."""
    for path in AUTOSCALERS:
        for match in SERIES.finditer(path.read_text()):
            yield pytest.param(match["name"], dict(LABEL.findall(match["labels"])), id=path.stem)


def test_there_is_a_sample_for_each_kind_of_autoscaler() -> None:
    assert [path.stem for path in AUTOSCALERS] == ["hpa-cpu", "keda-metrics-api", "keda-prometheus"]


def test_the_webhook_warns_of_nothing_in_the_server() -> None:
    storage, server = storage_and_server()
    request = AdmissionRequest("1", "CREATE", "team", "", server, None)
    known = {(storage["metadata"]["namespace"], storage["metadata"]["name"]): storage}
    assert consumers.decide(consumers.ConsumerWrite.of(request), known, Target.ALL).warnings == ()


def test_the_server_leaves_its_replicas_alone_spreads_clients_and_requests_processor_time() -> None:
    _, server = storage_and_server()
    spec = server["spec"]
    assert "replicas" not in spec
    assert (spec["sessionAffinity"], spec["transport"]) == ("None", "streamable-http")
    assert spec["resources"]["requests"]["cpu"]


@EACH
def test_an_autoscaler_is_aimed_at_the_deployment_that_toolhive_makes_for_the_server(path: Path) -> None:
    _, server = storage_and_server()
    found = autoscaler(path)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": server["metadata"]["name"]}
    assert found["spec"]["scaleTargetRef"] == target
    assert found["metadata"] == server["metadata"]


@EACH
def test_an_autoscaler_keeps_two_proxies_and_takes_its_time_to_remove_one(path: Path) -> None:
    spec = autoscaler(path)["spec"]
    assert (spec.get("minReplicas") or spec["minReplicaCount"]) == 2
    assert (spec.get("maxReplicas") or spec["maxReplicaCount"]) == 10
    behavior = spec.get("behavior") or spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 300


@EACH
def test_keda_takes_the_silence_of_a_source_for_no_answer_rather_than_for_no_session(path: Path) -> None:
    spec = autoscaler(path)["spec"]
    if "triggers" not in spec:
        assert spec["metrics"][0]["type"] == "Resource"
        return
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
    for metadata in metadata_of_triggers(path):
        assert "query" not in metadata or metadata["ignoreNullValues"] == "false"


@pytest.mark.parametrize(("name", "labels"), list(selected_series()))
def test_the_reconciler_tells_the_number_that_an_autoscaler_asks_for(name: str, labels: dict[str, str]) -> None:
    _, server = storage_and_server()
    exposition = Exposition()
    exposition.is_leader = True
    owner = (server["metadata"]["namespace"], server["metadata"]["name"])
    counted = {owner: 7, ("", "unknown"): 1}
    exposition.publish(
        ("team", "sessions"), "sessions", session_lines(("team", "sessions"), counted, 1, datetime.now(UTC))
    )
    text = b"".join(exposition.pieces()).decode()
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert name == SESSIONS.name
    assert found == [7]


def test_the_service_that_keda_asks_selects_the_reconcilers_by_the_charts_labels() -> None:
    service, _ = documents(SAMPLES / "keda-metrics-api.yaml")
    names = (SAMPLES.parents[1] / "chart" / "templates" / "_names.tpl").read_text()
    for label in service["spec"]["selector"]:
        assert f"\n{label}: " in names
    (metadata,) = metadata_of_triggers(SAMPLES / "keda-metrics-api.yaml")
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    (port,) = service["spec"]["ports"]
    assert metadata["url"] == f"http://{host}:{port['port']}/metrics/storages"
    assert metadata["aggregateFromKubeServiceEndpoints"] == "true"
