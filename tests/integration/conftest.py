"""A control plane on loopback with the chart's objects, and our processes, for all tests that share them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.local.loopback import ControlPlane
from shared.kubernetes.client import Cluster
from shared.objects.resources import NAMESPACES, Object
from tests.integration.control_plane import Kubectl, running_control_plane
from tests.integration.installation import install_chart, install_toolhive_crds, running_processes
from tests.integration.loopback import free_port, routed
from tests.integration.processes import Process, running_kubelet
from tests.support.audit import AuditLog

LONGEST = (
    "test_drills",
    "test_toolhive_versions",
    "test_policy_alone",
    "test_policy",
    "test_platforms",
    "test_placement",
    "test_sharing",
    "test_provisioning",
    "test_short_lives",
    "test_rules",
    "test_outage",
    "test_rotation",
    "test_auth_servers",
    "test_survival",
    "test_admission",
    "test_large",
    "test_external",
    "test_hostile",
    "test_webhook_process",
    "test_install",
)
"""Files in the order in which workers take them: long ones first, so that all workers end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def _addresses() -> Iterator[None]:
    with routed():
        yield


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path_factory.mktemp("cluster") / "control-plane") as control_plane:
        yield control_plane


@pytest.fixture(scope="session")
def audit_log(control_plane: ControlPlane) -> AuditLog:
    return AuditLog(control_plane.audit_log)


@pytest.fixture(scope="session")
def kubeconfig(control_plane: ControlPlane) -> Path:
    return control_plane.kubeconfig


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    return Kubectl(kubeconfig)


@pytest.fixture
async def cluster(kubeconfig: Path) -> AsyncIterator[Cluster]:
    async with await Cluster.connect(user_agent="tests", kubeconfig=str(kubeconfig)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def toolhive_crds(kubectl: Kubectl) -> None:
    install_toolhive_crds(kubectl)


@pytest.fixture(scope="session")
def webhook_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def chart(kubectl: Kubectl, webhook_port: int, toolhive_crds: None) -> list[Object]:
    return install_chart(kubectl, webhook_port)


@pytest.fixture(scope="session")
def processes(
    chart: list[Object], kubectl: Kubectl, webhook_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Process]]:
    directory = tmp_path_factory.mktemp("processes")
    with running_processes(chart, kubectl, webhook_port, directory) as made:
        yield made


@pytest.fixture(scope="session")
def kubelet(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running_kubelet(kubeconfig, tmp_path_factory.mktemp("kubelet")):
        yield


_numbers = itertools.count(1)


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """Create a namespace for the test alone."""
    name = f"test-{next(_numbers)}"
    kubectl.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kubectl.api.delete(NAMESPACES, "", name)
