"""The NetworkPolicy of a storage admits consumers in its own namespace and nobody else."""

from __future__ import annotations

import pytest

from deploy.demo import samples
from deploy.demo.kube import Kube, until
from deploy.demo.refusals import ADMISSION_SECONDS, STRANGER, answer
from tests.e2e.conftest import Run
from tests.e2e.namespaces import SERVERS, STRANGERS
from tests.e2e.storages import await_ready

HOST = f"first-valkey.{SERVERS}.svc"
LABELS = [
    pytest.param("toolhive.stacklok.dev/component=proxy", id="the proposal's label"),
    pytest.param("app.kubernetes.io/name=mcpserver", id="ToolHive's own label"),
    pytest.param("toolhive.stacklok.dev/session-storage=first", id="a backend that has the credential"),
]


@pytest.fixture(scope="module")
def strangers(run: Run, servers: object) -> Kube:
    """Start one pod in the storage's namespace, and one in another."""
    for namespace in (SERVERS, STRANGERS):
        run.kube.apply(*samples.load(samples.OWN / "stranger.yaml", run.images, namespace))
    for namespace in (SERVERS, STRANGERS):
        run.kube.await_condition(f"pod/{STRANGER}", "condition=Ready", namespace)
    await_ready(run.kube, SERVERS, "first")
    return run.kube


def relabel(kube: Kube, namespace: str, label: str) -> None:
    kube.run("label", "--overwrite", "pod", STRANGER, label, namespace=namespace)


@pytest.mark.parametrize("label", LABELS)
def test_a_pod_is_admitted_for_its_label_and_no_longer_without_it(strangers: Kube, label: str) -> None:
    relabel(strangers, SERVERS, label)
    said = until("the pod is admitted", lambda: answer(strangers, HOST, SERVERS), ADMISSION_SECONDS)
    assert said.startswith("NOAUTH"), "an admitted pod must still log in"
    relabel(strangers, SERVERS, f"{label.partition('=')[0]}-")
    until("the pod is refused", lambda: not answer(strangers, HOST, SERVERS), ADMISSION_SECONDS)


@pytest.mark.parametrize("label", LABELS)
def test_a_pod_of_another_namespace_is_refused_whatever_its_labels(strangers: Kube, label: str) -> None:
    relabel(strangers, STRANGERS, label)
    assert answer(strangers, HOST, STRANGERS) == ""
