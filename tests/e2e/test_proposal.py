"""The cluster accepts every manifest of the proposal unchanged, and conditions say what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo import samples, storages
from tests.e2e.conftest import Run
from tests.e2e.namespaces import EXTERNAL, PROPOSAL, TOOLHIVE
from tests.e2e.storages import read

pytestmark = pytest.mark.usefixtures("servers", "consumers")


def namespace_of(manifest: Path) -> str:
    """Return the namespace for a manifest; two of the proposal's servers have the same name."""
    return EXTERNAL if "external" in manifest.name else PROPOSAL


@pytest.fixture(scope="module")
def proposed(run: Run) -> None:
    for manifest in samples.PROPOSAL:
        run.kube.apply(*samples.load(manifest, run.images, namespace_of(manifest)))


@pytest.mark.parametrize("manifest", samples.PROPOSAL, ids=lambda path: path.stem)
def test_a_manifest_of_the_proposal_is_accepted_unchanged(run: Run, manifest: Path) -> None:
    """`kubectl apply` validates strictly: an unknown field would be an error."""
    wanted = samples.load(manifest, run.images, namespace_of(manifest))
    run.kube.apply(*wanted)
    for each in wanted:
        metadata = each["metadata"]
        stored = read(run.kube, f"{each['kind']}.{group(each)}", metadata["name"], metadata["namespace"])
        for field, value in each.get("spec", {}).items():
            assert stored["spec"][field] == value


def group(obj: dict[str, str]) -> str:
    group, slash, _ = obj["apiVersion"].rpartition("/")
    return group if slash else ""


@pytest.mark.usefixtures("proposed")
@pytest.mark.parametrize(
    ("namespace", "name", "kind", "reason"),
    [
        (PROPOSAL, "dev-storage", "Ready", "StorageReady"),
        (TOOLHIVE, "prod-storage", "Ready", "StorageReady"),
        (TOOLHIVE, "prod-storage", "Redundant", "InSync"),
        (EXTERNAL, "external-storage", "Ready", "DnsFailed"),
        (TOOLHIVE, "shared-storage", "Ready", "SecretNotFound"),
    ],
)
def test_a_condition_says_what_a_storage_of_the_proposal_lacks(
    run: Run, namespace: str, name: str, kind: str, reason: str
) -> None:
    assert storages.await_finding(run.kube, (namespace, name), kind, reason)["message"]


@pytest.mark.usefixtures("proposed")
def test_a_status_in_a_manifest_is_ignored(run: Run) -> None:
    status = read(run.kube, storages.KIND, "shared-storage", TOOLHIVE)["status"]
    assert status["phase"] == "Pending"
    assert "connectionSecret" not in status


@pytest.mark.usefixtures("proposed")
@pytest.mark.parametrize(
    ("namespace", "name", "secret"),
    [
        (PROPOSAL, "my-server", "dev-storage-connection"),
        (PROPOSAL, "production-server", "toolhive-system.prod-storage-connection"),
        (EXTERNAL, "my-server", "external-storage-connection"),
    ],
)
def test_a_server_of_the_proposal_gets_the_connection_secret(run: Run, namespace: str, name: str, secret: str) -> None:
    server = read(run.kube, "mcpservers", name, namespace)
    (container,) = server["spec"]["podTemplateSpec"]["spec"]["containers"]
    assert container == {"name": "mcp", "envFrom": [{"secretRef": {"name": secret}}]}
