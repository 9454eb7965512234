"""Faults and planned moves of a large storage under load, once each with generous bounds; `make chaos` has more."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from deploy.demo.storages import KIND
from shared.names import ANNOTATION_FORCE_DELETE
from shared.session_storage.sizes import Size
from tests.chaos import nodes, trials
from tests.chaos.api import Api
from tests.chaos.catalogue import BY_NAME
from tests.chaos.stand import Stand
from tests.e2e.conftest import Run
from tests.e2e.namespaces import ROTATION, STORAGES

GAP_SECONDS = 5.0
"""Seconds without a write. The goal is far less, but a machine that also runs other tests cannot measure it."""


@pytest.fixture(scope="module")
def stand(run: Run) -> Iterator[Stand]:
    """Start three instances, and two proxies of a server with open sessions; delete other storages to make room."""
    for namespace in (STORAGES, ROTATION):
        run.kube.run("annotate", KIND, "--all", f"{ANNOTATION_FORCE_DELETE}=true", namespace=namespace)
        run.kube.run("delete", KIND, "--all", "--cascade=foreground", namespace=namespace)
    large = Stand(run.kube, Api(nodes.KUBECONFIG), run.images, "large")
    large.make(Size.LARGE)
    yield large
    large.remove()


@pytest.mark.parametrize("name", ["sigkill", "force-delete", "switchover", "drain"])
def test_clients_go_on_and_no_write_is_lost(stand: Stand, name: str, figures: list[str]) -> None:
    trial = trials.run(BY_NAME[name], stand, Size.LARGE, random.Random(0))
    figures.append(str(trial))
    for verdict in (trial.verdict, trial.impatient):
        assert verdict is not None
        assert verdict.lost == ()
        assert verdict.gap.seconds <= GAP_SECONDS
    assert trial.use.lost == 0
