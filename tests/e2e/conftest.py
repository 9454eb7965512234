"""One run on a real cluster: the chart is installed from this checkout, and tests share storages and servers.

Everything that a run creates stays until its end, because the last tests check all of it together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from deploy.demo import installation
from deploy.demo.images import Images
from deploy.demo.kube import Kube
from deploy.demo.proxies import Proxies
from deploy.demo.storages import KIND
from deploy.local import paths
from deploy.local.home import Cluster
from shared.names import ANNOTATION_FORCE_DELETE
from tests.e2e import consumers as all_consumers
from tests.e2e import idle as rest
from tests.e2e.idle import Idle
from tests.e2e.namespaces import ALL, EXTERNAL, OF_DEMO, RESTRICTED, SERVERS, TOOLHIVE
from tests.e2e.storages import server, storage
from tests.support.audit import AuditLog

# Tests that measure times run while the cluster is quiet; the last ones check what all others have left behind.
ORDER = (
    "test_installation",
    "test_speed",
    "test_proposal",
    "test_wiring",
    "test_continuity",
    "test_isolation",
    "test_repair",
    "test_restore",
    "test_bad_input",
    "test_kinds",
    "test_external",
    "test_sharing",
    "test_rotation",
    "test_api_away",
    "test_rollout",
    "test_outage",
    "test_rest",
    "test_fight",
    "test_passwords",
    "test_drains",
    "test_autoscaling",
    "test_resilience",
    "test_series",
    "test_alerts",
    "test_monitoring",
)

SHORT_REFRESH = "--set=rotation.refreshSeconds=30"
"""How long a rotation waits for kubelets: the local cluster's refresh Secrets in 15 to 22.5 s, not in 60 to 90."""

# These tests kill processes, taint and drain nodes, or read what the API server has noted down: they use the local
# cluster, and no other one that KUBECONFIG names.
LOCAL = (
    "test_alerts.py",
    "test_drains.py",
    "test_fight.py",
    "test_monitoring.py",
    "test_resilience.py",
    "test_rest.py",
    "test_series.py",
)
collect_ignore = [] if paths.is_local(os.environ) else list(LOCAL)


@dataclass
class Run:
    """The cluster and the installation that all tests of a run share.

    Attributes:
        kube: The cluster.
        images: Images that run on it.
        values: Further values for Helm.
        logs: Logs of pods that a test has ended.
    """

    kube: Kube
    images: Images
    values: tuple[str, ...]
    logs: list[str] = field(default_factory=list)

    def install(self) -> None:
        """Install or upgrade to the chart of this checkout, and return when its processes work."""
        installation.install(self.kube, self.images, *self.values)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else -1)


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> Iterator[Run]:
    kube = Kube.of(os.environ)
    if complaint := kube.refusal("get", "nodes"):
        pytest.exit(f"there is no cluster (`make cluster` starts one): {complaint}", returncode=1)
    # Drills use the chart's defaults.
    has_default = pytestconfig.getoption("--drills") or not kube.is_local
    run = Run(kube, Images.of(os.environ), () if has_default else (SHORT_REFRESH,))
    clear_away(kube)
    for name in ALL:
        kube.create_namespace(name)
    kube.run("label", "namespace", *RESTRICTED, "pod-security.kubernetes.io/enforce=restricted")
    run.install()
    installation.restart_outdated(kube)
    yield run
    kube.run("delete", "namespace", *ALL, "--ignore-not-found", "--wait=false")
    delete_shared_storages(kube)


def clear_away(kube: Kube) -> None:
    """Remove what another run or a demonstration has left behind, because tests would measure it too."""
    has_demo = any(kube.get("namespace", name) for name in OF_DEMO)
    kube.delete_namespaces(*ALL, *OF_DEMO)
    delete_shared_storages(kube)
    if has_demo:
        installation.uninstall(kube)


def delete_shared_storages(kube: Kube) -> None:
    """Delete the proposal's storages, which are in ToolHive's own namespace; their consumers may still be there."""
    if kube.get("customresourcedefinition", KIND) is None:
        return
    kube.run("annotate", KIND, "--all", f"{ANNOTATION_FORCE_DELETE}=true", namespace=TOOLHIVE)
    kube.run(
        "delete", KIND, "prod-storage", "shared-storage", "--ignore-not-found", "--cascade=foreground",
        namespace=TOOLHIVE,
    )  # fmt: skip


@pytest.fixture(scope="session")
def kube(run: Run) -> Kube:
    return run.kube


@pytest.fixture(scope="session")
def audit_log() -> AuditLog:
    return AuditLog(Cluster.of_this_cache().audit_log)


@pytest.fixture(scope="session")
def servers(run: Run) -> dict[str, Proxies]:
    """Create servers after, before and together with their storages; they start while tests go on."""
    image = run.images.mcp_server
    run.kube.apply(
        storage("first", SERVERS, size="medium"),
        server("second", SERVERS, image, sessionStorageRef="first", replicas=2, sessionAffinity="None"),
        server("ahead", SERVERS, image, sessionStorageRef="behind"),
        server("beside", SERVERS, image, sessionStorageRef={"name": "also-beside"}),
        storage("also-beside", SERVERS, size="small"),
    )
    run.kube.apply(storage("behind", SERVERS, size="small"))
    return {name: Proxies(run.kube, name, SERVERS) for name in ("second", "ahead", "beside")}


@pytest.fixture(scope="session")
def consumers(run: Run) -> None:
    """Create consumers of every kind, connected by field and by annotation; they start while tests go on."""
    all_consumers.apply(run.kube, run.images.mcp_server)


@pytest.fixture(scope="session")
def idle(kube: Kube, audit_log: AuditLog, servers: dict[str, Proxies], consumers: None) -> Idle:
    """Observe the cluster with everything that the run has created for a minute without user requests."""
    for name, proxies in servers.items():
        proxies.await_ready(2 if name == "second" else 1)
    for consumer in (*all_consumers.CONNECTED, *all_consumers.UNCONNECTED):
        consumer.proxies(kube).await_ready(consumer.replicas)
    # Its storage does not exist, so that its proxy restarts again and again, and applies its backend each time.
    kube.run("delete", "mcpservers", "my-server", "--ignore-not-found", namespace=EXTERNAL)
    return rest.observe(kube, audit_log)
