"""A cluster at rest with everything that the run has created: no writes, little memory, no hot loops."""

from __future__ import annotations

from collections import Counter

import pytest

from deploy.demo import installation
from deploy.demo.installation import NAMESPACE
from deploy.demo.kube import Kube
from tests.e2e.idle import IDLE_SECONDS, Idle
from tests.support.audit import AuditLog

LOOKS_PER_STORAGE = IDLE_SECONDS / 5 + 1
"""Seconds between passes: five for a storage that waits, ten for a healthy one."""
BOUNDS_MIB = {"reconciler": 120, "webhook": 100}


OF_A_STORAGE = {
    *("services", "endpointslices", "statefulsets", "secrets", "networkpolicies", "poddisruptionbudgets"),
    *("sessionstorages/status", "events"),
}
"""What the reconciler writes for each storage, whatever happens to it."""


@pytest.mark.usefixtures("idle")
def test_a_write_of_ours_to_any_kind_would_have_been_seen(audit_log: AuditLog) -> None:
    kinds = {write.split()[1] for write in audit_log.since(0)}
    assert kinds >= OF_A_STORAGE


def test_nothing_is_written(idle: Idle) -> None:
    assert idle.written == Counter()
    assert idle.provoked == Counter()


def test_no_reconcile_fails_or_repeats_in_a_hot_loop(idle: Idle, kube: Kube, figures: list[str]) -> None:
    storages = len(kube.items("sessionstorages"))
    figures.append(f"{storages} storages, {dict(idle.reconciled)} reconciles in {IDLE_SECONDS} s")
    assert idle.reconciled["error"] == 0
    assert 0 < idle.reconciled["ok"] <= storages * LOOKS_PER_STORAGE


def test_the_processes_stay_small(kube: Kube, figures: list[str]) -> None:
    for pod in installation.pods(kube):
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        status = kube.run("exec", pod["metadata"]["name"], "--", "cat", "/proc/1/status", namespace=NAMESPACE)
        resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        figures.append(f"{pod['metadata']['name']}: {resident:.0f} MiB resident")
        assert resident <= BOUNDS_MIB[component]
