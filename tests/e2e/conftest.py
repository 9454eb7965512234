"""One run on a real cluster: the chart installed from this checkout, storages and servers that tests share.

Everything that a run makes stays until its end, because the last tests look at all of it together.
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
from shared.names import ANNOTATION_FORCE_DELETE
from tests.e2e import consumers as all_consumers
from tests.e2e import idle as rest
from tests.e2e.idle import Idle
from tests.e2e.namespaces import ALL, EXTERNAL, OF_DEMO, RESTRICTED, SERVERS, TOOLHIVE
from tests.e2e.storages import server, storage

# Times are taken while the cluster is quiet; the last ones look at what all others have left behind.
ORDER = (
    "test_installation",
    "test_speed",
    "test_proposal",
    "test_wiring",
    "test_continuity",
    "test_isolation",
    "test_repair",
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
    "test_resilience",
)

SHORT_REFRESH = "--set=rotation.refreshSeconds=30"
"""What a rotation waits for kubelets: those of the local cluster look after 15 to 22.5 s, and not after 60 to 90."""

# Processes are killed and nodes drained there: the local cluster is for that, and no other that KUBECONFIG may name.
collect_ignore = [] if paths.is_local(os.environ) else ["test_resilience.py"]


@dataclass
class Run:
    """What has to be known about the run as a whole.

    Attributes:
        kube: The cluster.
        images: What runs on it.
        values: What Helm is told besides.
        logs: Of pods that a test has ended since.
    """

    kube: Kube
    images: Images
    values: tuple[str, ...]
    logs: list[str] = field(default_factory=list)

    def install(self) -> None:
        """Install the chart of this checkout, or upgrade to it, and return when it is at work."""
        installation.install(self.kube, self.images, *self.values)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else -1)


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> Iterator[Run]:
    kube = Kube.of(os.environ)
    if complaint := kube.refusal("get", "nodes"):
        pytest.exit(f"there is no cluster (`make cluster` starts one): {complaint}", returncode=1)
    # Drills take the chart as it comes.
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
    """Take away what another run or a demonstration has left behind: it would be measured as well."""
    has_demo = any(kube.get("namespace", name) for name in OF_DEMO)
    kube.delete_namespaces(*ALL, *OF_DEMO)
    delete_shared_storages(kube)
    if has_demo:
        installation.uninstall(kube)


def delete_shared_storages(kube: Kube) -> None:
    """Delete the proposal's storages, which stand in ToolHive's own namespace; their consumers may not be gone yet."""
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
def servers(run: Run) -> dict[str, Proxies]:
    """Servers with their storages: made after, before and together with them. They start while tests go on."""
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
    """Consumers of every kind, by field and by annotation. They start while tests go on."""
    all_consumers.apply(run.kube, run.images.mcp_server)


@pytest.fixture(scope="session")
def idle(kube: Kube, servers: dict[str, Proxies], consumers: None) -> Idle:
    """A minute in which nobody asked for anything, with all that the run has made."""
    for name, proxies in servers.items():
        proxies.await_ready(2 if name == "second" else 1)
    for consumer in (*all_consumers.WIRED, *all_consumers.UNWIRED):
        consumer.proxies(kube).await_ready(consumer.replicas)
    # Its storage is nowhere, so that its proxy starts over and over, and applies its backend each time.
    kube.run("delete", "mcpservers", "my-server", "--ignore-not-found", namespace=EXTERNAL)
    return rest.observe(kube)
