"""What Prometheus reads of real storages from the reconciler's process, with the rights that the chart gives it.

Sessions are counted once a minute, so the second test may take 70 s.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
from datetime import UTC, datetime, timedelta

import pytest
import valkey

from reconciler.credentials import identities
from reconciler.metrics.families import STORAGE_FAMILIES
from shared import names
from shared.objects.resources import Object
from shared.objects.timestamps import written
from tests.integration.control_plane import Kubectl
from tests.integration.instances import servers
from tests.integration.mcpservers import server
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_ready, condition, primary, read, secret_value, storage
from tests.support.exposed import parsed

pytestmark = pytest.mark.usefixtures("kubelet")
APPEAR_SECONDS = 30
GONE_SECONDS = 300
COUNT_SECONDS = 75
"""A minute between two counts, and what a count takes."""
Labels = dict[str, str]


def samples(reconciler: Process, name: str, **labels: str) -> list[tuple[Labels, float]]:
    family = parsed(reconciler.read("/metrics/storages").encode()).get(name)
    found = [] if family is None else [(each.labels, each.value) for each in family.samples if each.name == name]
    return [(own, value) for own, value in found if labels.items() <= own.items()]


def value(reconciler: Process, name: str, **labels: str) -> float | None:
    found = samples(reconciler, name, **labels)
    return sum(value for _, value in found) if found else None


def pod_address(kubectl: Kubectl, namespace: str, instance: int) -> str:
    address: str = read(kubectl, "pod", names.valkey_pod("mine", instance), namespace)["status"]["podIP"]
    return address


def test_series_come_with_a_storage_follow_its_failover_and_go_with_it(
    kubectl: Kubectl, namespace: str, processes: dict[str, Process]
) -> None:
    reconciler = processes["reconciler"]
    kubectl.api.apply(storage("mine", namespace, size="large"))
    await_ready(kubectl, namespace, "mine")
    own = {"namespace": namespace, "storage": "mine"}
    ready = {**own, "type": "Ready", "status": "True"}
    eventually(
        lambda: value(reconciler, "session_storage_condition", **ready) == 1, seconds=APPEAR_SECONDS, what="series"
    )
    assert reconciler.read("/metrics/storages").splitlines()[2] == "session_storage_is_leader 1"
    eventually(
        lambda: condition(kubectl, namespace, "mine", "Redundant").get("status") == "True", what="replicas in sync"
    )
    eventually(lambda: value(reconciler, "session_storage_synced_replicas", **own) == 2, what="replicas are told")
    eventually(lambda: value(reconciler, "redis_up", **own) == 3, what="three instances are told")
    replicas = samples(reconciler, "redis_master_link_up", **own)
    assert [linked for _, linked in replicas] == [1, 1]
    assert all(lag < 1 << 20 for _, lag in samples(reconciler, "session_storage_replica_lag_bytes", **own))
    eventually(
        lambda: (value(reconciler, "session_storage_probes_total", **own, outcome="answered") or 0) > 5,
        what="answers of the primary are counted",
    )
    os.kill(servers()[pod_address(kubectl, namespace, 0)], signal.SIGKILL)
    eventually(lambda: primary(kubectl, namespace) != 0, what="another instance is primary")
    lost = {**own, "reason": "PrimaryLost", "planned": "false"}
    eventually(lambda: value(reconciler, "session_storage_primary_changes_total", **lost) == 1, what="it is counted")
    (leading,) = samples(reconciler, "redis_connected_clients", **own, role="primary")
    assert leading[0]["pod"] == names.valkey_pod("mine", primary(kubectl, namespace))
    kubectl("delete", "sstore", "mine", "-n", namespace)
    eventually(
        lambda: not [name for name in _families() if samples(reconciler, name, **own)],
        seconds=GONE_SECONDS,
        what="the series are gone",
    )


def _families() -> list[str]:
    return [family.name for family in STORAGE_FAMILIES if family.kind != "histogram"]


def lines_of(process: Process, storage: str) -> list[Object]:
    """Read what the log says of a storage."""
    lines = [json.loads(line) for line in process.log.read_text().splitlines() if line.endswith("}")]
    return [line for line in lines if line.get("storage") == storage]


def test_no_password_and_no_session_is_told(kubectl: Kubectl, namespace: str, processes: dict[str, Process]) -> None:
    reconciler = processes["reconciler"]
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    end = written(datetime.now(UTC) + timedelta(hours=1))
    kubectl("annotate", "sessionstorage", "mine", f"{names.ANNOTATION_LOG_LEVEL}=debug@{end}", "-n", namespace)
    kubectl.api.create(server(namespace, annotations={names.ANNOTATION_STORAGE: "mine"}))
    sessions = [secrets.token_hex(16) for _ in range(30)]
    prefix = names.key_prefix("MCPServer", namespace, "srv")
    password = secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD")
    with valkey.Valkey(host=pod_address(kubectl, namespace, 0), password=password) as client:
        for number, session in enumerate(sessions):
            client.set(f"{prefix}{session}" if number < 20 else f"thv:proxy:session:{session}", "v", ex=3600)
    own = {"namespace": namespace, "storage": "mine"}
    theirs = {**own, "consumer_namespace": namespace, "consumer": "srv"}
    eventually(
        lambda: value(reconciler, "session_storage_sessions", **theirs) == 20,
        seconds=COUNT_SECONDS,
        what="sessions are counted",
    )
    assert value(reconciler, "session_storage_sessions", **own, consumer="unknown") == 10
    eventually(
        lambda: value(reconciler, "session_storage_consumers", **own, wired="true") == 1,
        seconds=APPEAR_SECONDS,
        what="the consumer is told",
    )
    eventually(
        lambda: any(line["message"] == "asked all instances" for line in lines_of(reconciler, f"{namespace}/mine")),
        seconds=APPEAR_SECONDS,
        what="the log says more of the storage",
    )
    auth = read(kubectl, "secret", names.auth_secret("mine"), namespace)
    passwords = {each for each in identities.decoded(auth["data"]).values() if identities.is_password(each)}
    assert len(passwords) == len(identities.PASSWORD_KEYS)
    hidden = {*sessions, *passwords, *(hashlib.sha256(each.encode()).hexdigest() for each in passwords)}
    told = reconciler.read("/metrics/storages") + reconciler.read("/metrics") + reconciler.log.read_text()
    assert json.dumps(namespace) in told
    assert [each for each in hidden if each in told] == []
