"""Tests on the awkward profile of the local cluster, with documented values of the chart alone.

The storages and servers are those of the README and of the proposal; all tests share them, and one MCP session for each
of two servers goes on from the first test to the last.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from deploy.demo import installation, sessions, setting
from deploy.demo.images import Images
from deploy.demo.kube import Kube
from deploy.demo.narrator import Narrator
from deploy.demo.proxies import Proxies
from deploy.demo.stage import NAMESPACE, Stage
from deploy.local import images as local_images
from deploy.local.home import Cluster
from tests.e2e.awkward import house
from tests.e2e.awkward.session import LongSession
from tests.e2e.conftest import SHORT_REFRESH, Run, clear_away
from tests.e2e.namespaces import TOOLHIVE
from tests.e2e.storages import server

VALUES: Final = Path(__file__).with_name("values.yaml")
PRODUCTION: Final = "production"
LARGE: Final = "prod-storage"
"""The proposal's storage with three instances; it is in ToolHive's namespace."""

# On another cluster there is nothing to show here.
collect_ignore_glob = [] if Cluster.of_this_cache().profile.house else ["test_*.py"]


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> Run:
    """Prepare namespaces as a platform team does, and install the chart."""
    kube = Kube.of(os.environ)
    pulled = Images(house.image(local_images.PRODUCT), house.image(local_images.VALKEY), local_images.MCP_DEMO)
    refresh = () if pytestconfig.getoption("--drills") else (SHORT_REFRESH,)
    run = Run(kube, pulled, (f"--values={VALUES}", *refresh))
    clear_away(kube)
    installation.uninstall(kube)
    house.prepare(kube)
    kube.apply(house.pull_secret(installation.NAMESPACE))
    run.install()
    return run


@pytest.fixture(scope="session")
def stage(run: Run) -> Stage:
    """Apply the README's first example and the proposal's manifests, and wait for what each storage reports."""
    told: list[str] = []
    stage = Stage(run.kube, run.images, Narrator(told.append))
    sessions.apply_example(stage)
    setting.apply_proposal(stage)
    return stage


@pytest.fixture(scope="session")
def session(stage: Stage) -> LongSession:
    """Open a session with the server of the README's example."""
    return LongSession.of(sessions.show_wiring(stage), sessions.REPLICAS)


@pytest.fixture(scope="session")
def production(stage: Stage) -> LongSession:
    """Open a session with a server whose storage has three instances, in another namespace."""
    reference = {"name": LARGE, "namespace": TOOLHIVE}
    stage.kube.apply(server(PRODUCTION, NAMESPACE, stage.images.mcp_server, sessionStorageRef=reference))
    return LongSession.of(Proxies(stage.kube, PRODUCTION, NAMESPACE), 1)
