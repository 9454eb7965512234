"""A real API server takes the samples for autoscalers as they are, KEDA's by its CRD, and the webhook their server.

It takes a few seconds, for the CRD and a dry run of each sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from deploy.local.gomodule import GoModule
from tests.integration.control_plane import Kubectl
from tests.integration.processes import ROOT, eventually

KEDA: Final = GoModule("github.com/kedacore/keda/v2", "v2.21.0")
CRD: Final = "scaledobjects.keda.sh"
SAMPLES: Final = ROOT / "deploy" / "samples" / "autoscaling"
SERVER: Final = SAMPLES / "server.yaml"
AUTOSCALERS: Final = sorted(set(SAMPLES.glob("*.yaml")) - {SERVER})
SCALERS: Final = {
    "cpu": "cpu_memory_scaler.go",
    "metrics-api": "metrics_api_scaler.go",
    "prometheus": "prometheus_scaler.go",
}
FIELD: Final = re.compile(r'keda:"name=(\w+),\s*order=[^"]*\btriggerMetadata\b')
"""How KEDA's scalers declare what a trigger's metadata may hold; they pass over everything else."""
DRY_RUN: Final = ("create", "--dry-run=server", "--validate=strict", "-f", "-")


@pytest.fixture(scope="module")
def keda(kubectl: Kubectl) -> Iterator[None]:
    """Give the cluster KEDA's CRD."""
    crds = KEDA.directory("config/crd/bases", "keda-crds")
    kubectl("apply", "--server-side", "-f", str(crds / "keda.sh_scaledobjects.yaml"))
    kubectl("wait", f"crd/{CRD}", "--for=condition=Established", "--timeout=30s")
    yield
    kubectl("delete", "crd", CRD)


def placed(path: Path, namespace: str) -> str:
    """Read a sample, and put what belongs to the team into a namespace of the test."""
    return path.read_text().replace("namespace: team\n", f"namespace: {namespace}\n")


@pytest.mark.usefixtures("keda", "chart")
@pytest.mark.parametrize("path", AUTOSCALERS, ids=lambda path: path.stem)
def test_the_api_server_takes_an_autoscaler_as_written_and_checks_its_fields(
    kubectl: Kubectl, namespace: str, path: Path
) -> None:
    text = placed(path, namespace)
    assert kubectl.warns(*DRY_RUN, stdin=text) == ""
    assert 'unknown field "spec.' in kubectl.fails(*DRY_RUN, stdin=text.replace("scaleDown:", "scaleIn:"))


@pytest.mark.usefixtures("processes")
def test_the_server_is_connected_without_a_warning_and_its_replicas_stay_open(kubectl: Kubectl, namespace: str) -> None:
    storage, server = map(yaml.safe_dump, yaml.safe_load_all(placed(SERVER, namespace)))
    kubectl("create", "-f", "-", stdin=storage)
    eventually(lambda: kubectl.warns(*DRY_RUN, stdin=server) == "", what="the webhook knows the storage")
    spec = yaml.safe_load(kubectl(*DRY_RUN, "-o", "yaml", stdin=server))["spec"]
    assert spec["sessionStorage"]["address"] == f"sessions-valkey.{namespace}.svc:6379"
    assert "replicas" not in spec
    assert spec["sessionAffinity"] == "None"


def test_kedas_scalers_read_every_field_of_the_samples() -> None:
    sources = KEDA.directory("pkg/scalers", "keda-scalers")
    triggers = [
        trigger
        for path in AUTOSCALERS
        for document in yaml.safe_load_all(path.read_text())
        for trigger in document["spec"].get("triggers", [])
    ]
    assert {trigger["type"] for trigger in triggers} == set(SCALERS)
    for trigger in triggers:
        known = set(FIELD.findall((sources / SCALERS[trigger["type"]]).read_text()))
        assert set(trigger["metadata"]) <= known, trigger["type"]
