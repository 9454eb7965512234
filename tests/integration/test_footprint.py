"""What both processes cost while all storages are well: memory, processor, and no write at all."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

import pytest

from shared.kubernetes.client import Cluster
from shared.objects.resources import NAMESPACES
from tests.integration.control_plane import Kubectl
from tests.integration.followed_storages import FollowedStorages
from tests.integration.processes import Process
from tests.integration.storages import storage
from tests.support.audit import AuditLog

EMPTY_SECONDS = 10.0
"""Nothing is looked at while there is no storage; all that goes on comes once a few seconds."""
IDLE_SECONDS = 35.0
"""At least one look at each storage."""
SECONDS_PER_STORAGE = 4.0
"""Two processors start a server in about one second."""


@dataclass(frozen=True)
class Installed:
    """A cluster, our processes, and what they write."""

    kubectl: Kubectl
    processes: dict[str, Process]
    audit_log: AuditLog

    def measured(self, seconds: float) -> tuple[Counter[str], str]:
        """Watch both processes for a while; return what was written, and what they cost."""
        resting = self.audit_log.at_rest(partial(self.kubectl.api.list, NAMESPACES))
        used = {name: metric(each, "process_cpu_seconds_total") for name, each in self.processes.items()}
        time.sleep(seconds)  # what the test measures: a period without changes
        costs = []
        for name, process in self.processes.items():
            share = (metric(process, "process_cpu_seconds_total") - used[name]) / seconds
            mebibytes = metric(process, "process_resident_memory_bytes") / 2**20
            costs.append(f"{name} {mebibytes:.0f} MiB, {share:.1%} of a core")
        return self.audit_log.since(resting), "; ".join(costs)


@pytest.fixture
def installed(kubectl: Kubectl, processes: dict[str, Process], audit_log: AuditLog, kubelet: None) -> Installed:
    return Installed(kubectl, processes, audit_log)


def metric(process: Process, name: str) -> float:
    found = process.metric(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "count", [4, pytest.param(50, marks=pytest.mark.drill), pytest.param(500, marks=pytest.mark.drill)]
)
async def test_storages_at_rest_cost_little_and_no_write(
    installed: Installed, cluster: Cluster, namespace: str, count: int, figures: list[str]
) -> None:
    """About 70 s for the short form, most of them pauses."""
    written, cost = installed.measured(EMPTY_SECONDS)
    figures.append(f"before: {cost}")
    assert written == Counter()
    names = {f"still-{number}" for number in range(count)}
    followed = FollowedStorages(cluster, namespace)
    async with followed.followed():
        installed.kubectl.apply(*(storage(name, namespace, size="small") for name in sorted(names)))
        took = await followed.until_ready(names, 60 + SECONDS_PER_STORAGE * count)
    written, cost = installed.measured(IDLE_SECONDS)
    figures.append(f"{count} small storages, Ready after {took:.0f} s: {cost}")

    assert written == Counter()
