"""Real Valkeys on a real API server: they come up in sync, one takes over, and planned changes lose nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import valkey
from valkey import exceptions

from reconciler.manifests.start_command import SHORTEST_RUN_SECONDS
from shared import names
from shared.objects.resources import Object
from tests.integration.control_plane import Kubectl
from tests.integration.instances import servers
from tests.integration.processes import eventually
from tests.integration.storages import await_ready, condition, primary, read, secret_value, status, storage

pytestmark = pytest.mark.usefixtures("processes", "kubelet")


def pod(kubectl: Kubectl, namespace: str, instance: int) -> Object:
    return read(kubectl, "pod", names.valkey_pod("mine", instance), namespace)


def client(kubectl: Kubectl, namespace: str, instance: int, patience: float = 1) -> valkey.Valkey:
    password = secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD")
    address = pod(kubectl, namespace, instance)["status"]["podIP"]
    return valkey.Valkey(host=address, password=password, socket_timeout=patience)


def await_redundant(kubectl: Kubectl, namespace: str) -> None:
    eventually(
        lambda: condition(kubectl, namespace, "mine", "Redundant").get("status") == "True", what="replicas in sync"
    )


def server_pid(kubectl: Kubectl, namespace: str, instance: int) -> int:
    return servers()[pod(kubectl, namespace, instance)["status"]["podIP"]]


def test_three_instances_come_up_in_sync(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="large"))
    await_ready(kubectl, namespace, "mine")
    await_redundant(kubectl, namespace)
    instances = {each["name"]: (each["role"], each["synced"]) for each in status(kubectl, namespace, "mine")["nodes"]}
    assert instances == {
        "mine-valkey-0": ("primary", True),
        "mine-valkey-1": ("replica", True),
        "mine-valkey-2": ("replica", True),
    }


def test_another_instance_takes_over_when_the_primary_dies(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="large"))
    await_ready(kubectl, namespace, "mine")
    await_redundant(kubectl, namespace)
    with client(kubectl, namespace, 0) as before:
        before.set("thv:key", "kept")
        assert before.wait(2, 1000) == 2
    os.kill(server_pid(kubectl, namespace, 0), signal.SIGKILL)
    eventually(lambda: primary(kubectl, namespace) != 0, what="another instance is primary")
    with client(kubectl, namespace, primary(kubectl, namespace)) as after:
        assert after.get("thv:key") == b"kept"
        eventually(lambda: bool(after.set("thv:other", "x")), what="a write succeeds")
    eventually(
        lambda: status(kubectl, namespace, "mine").get("lastFailover", {}).get("reason") == "PrimaryLost",
        what="the status reports it",
    )


ENDLESS = "while true do end"


@contextlib.contextmanager
def script(kubectl: Kubectl, namespace: str, text: str) -> Iterator[Future[object]]:
    """Run a script on instance 0 as a consumer does, beside what the block does."""

    def run() -> object:
        with client(kubectl, namespace, 0, 60) as consumer:
            return consumer.eval(text, 0)

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run)


@pytest.mark.parametrize("size", ["medium", "large"])
def test_a_script_that_never_ends_is_ended_and_the_primary_stays(
    kubectl: Kubectl, namespace: str, size: str, figures: list[str]
) -> None:
    kubectl.api.apply(storage("mine", namespace, size=size))
    await_ready(kubectl, namespace, "mine")
    await_count(kubectl, namespace, 3 if size == "large" else 1)
    began = time.monotonic()
    with script(kubectl, namespace, ENDLESS) as running:
        error = running.exception(30)
    figures.append(f"{size}: a script was ended {time.monotonic() - began:.1f} s after it began")
    assert "Script killed" in str(error)
    assert primary(kubectl, namespace) == 0
    with client(kubectl, namespace, 0) as after:
        eventually(lambda: bool(after.set("thv:other", "x")), what="a write succeeds")


@pytest.mark.parametrize("size", ["medium", "large"])
def test_a_script_that_cannot_be_ended_costs_seconds_and_nothing_but_its_own_writes(
    kubectl: Kubectl, namespace: str, size: str, figures: list[str]
) -> None:
    kubectl.api.apply(storage("mine", namespace, size=size))
    await_ready(kubectl, namespace, "mine")
    await_count(kubectl, namespace, 3 if size == "large" else 1)
    with client(kubectl, namespace, 0) as before:
        before.set("thv:key", "kept")
        # A server that ends sooner after its start ends its container too, and nothing here restarts containers.
        eventually(lambda: before.info("server")["uptime_in_seconds"] >= SHORTEST_RUN_SECONDS, what="it has run enough")
    began = time.monotonic()
    with script(kubectl, namespace, f"redis.call('SET', 'half', 'done') {ENDLESS}") as running:
        assert isinstance(running.exception(30), exceptions.ConnectionError)
    figures.append(f"{size}: its client was sent on {time.monotonic() - began:.1f} s after the script began")
    assert (primary(kubectl, namespace) == 0) == (size == "medium")
    with client(kubectl, namespace, primary(kubectl, namespace)) as after:

        def is_written() -> bool:
            with contextlib.suppress(exceptions.ValkeyError):  # until the server has started again
                return bool(after.set("thv:other", "x"))
            return False

        eventually(is_written, what="a write succeeds")
        assert after.mget("thv:key", "half") == [b"kept", None]
    await_count(kubectl, namespace, 3 if size == "large" else 1)


@pytest.mark.parametrize("size", ["small", "large"])
def test_the_primary_moves_when_somebody_asks_for_it(kubectl: Kubectl, namespace: str, size: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size=size))
    await_ready(kubectl, namespace, "mine")
    with client(kubectl, namespace, 0) as before:
        eventually(lambda: bool(before.set("thv:key", "kept")), what="a write succeeds")
    kubectl("annotate", "sessionstorage", "mine", f"{names.ANNOTATION_SWITCHOVER}=one", "-n", namespace)
    eventually(lambda: primary(kubectl, namespace) != 0, what="another instance is primary")
    with client(kubectl, namespace, primary(kubectl, namespace)) as after:
        assert after.get("thv:key") == b"kept"
        eventually(lambda: bool(after.set("thv:other", "x")), what="a write succeeds")
    await_count(kubectl, namespace, 3 if size == "large" else 1)


def await_count(kubectl: Kubectl, namespace: str, count: int) -> None:
    """Wait until a storage has so many instances, all of them in sync."""

    def is_so() -> bool:
        instances = status(kubectl, namespace, "mine")["nodes"]
        return len(instances) == count and all(each["synced"] for each in instances)

    eventually(is_so, what=f"{count} instances")


def await_size(kubectl: Kubectl, namespace: str, size: str) -> None:
    eventually(lambda: status(kubectl, namespace, "mine").get("size") == size, what=size)


def test_a_size_changes_up_and_down_again(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="medium"))
    await_ready(kubectl, namespace, "mine")
    with client(kubectl, namespace, 0) as before:
        before.set("thv:key", "kept")
    for size, count in (("large", 3), ("medium", 1), ("small", 1)):
        kubectl.api.apply(storage("mine", namespace, size=size))
        await_size(kubectl, namespace, size)
        await_count(kubectl, namespace, count)
        with client(kubectl, namespace, primary(kubectl, namespace)) as after:
            assert after.get("thv:key") == b"kept"
    claims = kubectl("get", "pvc", "-n", namespace, "-o", "jsonpath={.items[*].spec.resources.requests.storage}")
    assert claims.split() == ["10Gi"]
