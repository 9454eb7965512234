"""Wherever it is killed, the reconciler reaches the same end; at rest, it writes nothing."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial

import pytest
import valkey

from shared.objects.resources import NAMESPACES, SECRETS
from tests.integration.control_plane import Kubectl
from tests.integration.processes import Process
from tests.integration.storages import (
    await_ready,
    children,
    expected_children,
    read,
    secret_value,
    storage,
)
from tests.support.audit import AuditLog

pytestmark = pytest.mark.usefixtures("kubelet")

LATEST_KILL_SECONDS = 1.5
"""Seconds within which to kill the reconciler: it starts in about one and provisions in about half of one."""
IDLE_SECONDS = 22.0
"""Seconds; more than twice the interval between passes over a healthy storage."""


class Passwords(threading.Thread):
    """Collects every password that the auth Secrets of a namespace ever hold."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        super().__init__(daemon=True)
        self._kubectl, self._namespace = kubectl, namespace
        self._done = threading.Event()
        self.seen: dict[str, set[str]] = {}

    def run(self) -> None:
        while not self._done.wait(0.1):
            with suppress(AssertionError):
                self.look()

    def look(self) -> None:
        for secret in self._kubectl.api.list(SECRETS, self._namespace):
            name = secret["metadata"]["name"]
            if name.endswith("-auth"):
                self.seen.setdefault(name, set()).add(secret["data"]["password"])

    def stop(self) -> None:
        self._done.set()
        self.join()
        self.look()


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.drill)])
def test_killed_again_and_again_while_provisioning_it_ends_with_one_password_and_no_leftovers(
    kubectl: Kubectl, processes: dict[str, Process], namespace: str, kills: int, figures: list[str]
) -> None:
    seed = time.time_ns()
    chance = random.Random(seed)
    reconciler = processes["reconciler"]
    passwords = Passwords(kubectl, namespace)
    passwords.start()
    try:
        for number in range(kills):
            kubectl.api.apply(storage(f"s{number}", namespace, size="small"))
            time.sleep(chance.uniform(0, LATEST_KILL_SECONDS))  # the fault under test: a kill at a random moment
            reconciler.kill()
            reconciler.start()
        for number in range(kills):
            await_ready(kubectl, namespace, f"s{number}")
    finally:
        passwords.stop()
    assert passwords.seen.keys() == {f"s{number}-auth" for number in range(kills)}, seed
    assert {name: len(seen) for name, seen in passwords.seen.items() if len(seen) != 1} == {}, seed
    for number in range(kills):
        name = f"s{number}"
        assert children(kubectl, namespace, name) == expected_children(name), seed
        password = secret_value(kubectl, namespace, f"{name}-connection", "REDIS_PASSWORD")
        assert password == secret_value(kubectl, namespace, f"{name}-auth", "password"), seed
        host = read(kubectl, "pod", f"{name}-valkey-0-0", namespace)["status"]["podIP"]
        with valkey.Valkey(host=host, password=password) as client:
            assert client.ping(), seed
    figures.append(f"{kills} storages, the reconciler killed as often while it provisioned them: one password each")


def test_at_rest_nothing_is_written(
    kubectl: Kubectl, processes: dict[str, Process], namespace: str, audit_log: AuditLog
) -> None:
    processes["reconciler"].await_ready()
    start = audit_log.position()
    for size in ("small", "medium", "large"):
        kubectl.api.apply(storage(size, namespace, size=size))
    for size in ("small", "medium", "large"):
        await_ready(kubectl, namespace, size)
    assert audit_log.since(start)[f"patch statefulsets {namespace}/large-valkey-0"] > 0
    resting = audit_log.at_rest(partial(kubectl.api.list, NAMESPACES))
    time.sleep(IDLE_SECONDS)  # what the test measures: a period without writes
    assert audit_log.since(resting) == Counter()


def test_a_clean_stop_lets_another_replica_lead_at_once(
    kubectl: Kubectl, processes: dict[str, Process], namespace: str
) -> None:
    reconciler = processes["reconciler"]
    reconciler.await_ready()
    assert reconciler.terminate() == 0
    lease = reconciler.environ["LEASE_NAME"]
    assert read(kubectl, "lease", lease, reconciler.environ["POD_NAMESPACE"])["spec"].get("holderIdentity", "") == ""
    reconciler.start()
    reconciler.await_ready()
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
