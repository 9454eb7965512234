"""From `kubectl apply` to Ready, with the images on the nodes."""

from __future__ import annotations

import statistics

import pytest

from deploy.demo.kube import Kube
from deploy.demo.storages import KIND
from tests.e2e.namespaces import STORAGES
from tests.e2e.storages import seconds_to_ready, storage

RUNS = 3


@pytest.mark.parametrize(("size", "bound"), [("small", 4.0), ("medium", 6.0), ("large", 10.0)])
def test_a_storage_is_ready_within_seconds(kube: Kube, size: str, bound: float, figures: list[str]) -> None:
    took = []
    for run in range(RUNS):
        took.append(seconds_to_ready(kube, storage(f"{size}-{run}", STORAGES, size=size)))
        if size == "large":
            # Three of these leave no room on the local cluster for what is to come.
            kube.run("delete", KIND, f"{size}-{run}", "--cascade=foreground", namespace=STORAGES)
    figures.append(f"{size}: " + ", ".join(f"{seconds:.1f} s" for seconds in took))
    assert statistics.median(took) <= bound
