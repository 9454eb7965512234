"""A storage grows and rotates while no name can be resolved, and is whole as soon as names can be again."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Final

import pytest

from deploy.demo.errors import NotInTime
from deploy.demo.kube import Kube, until
from deploy.demo.storages import condition
from shared import names
from tests.e2e.conftest import Run
from tests.e2e.namespaces import STORAGES
from tests.e2e.storages import await_ready, read, storage

NAME: Final = "nameless"
AWAY_SECONDS: Final = 150
"""Longer than a rotation without consumers takes: the former password is kept for 100 s."""
HEALING_SECONDS: Final = 15
DNS: Final = ("coredns", "kube-system")


@contextlib.contextmanager
def without_dns(kube: Kube) -> Iterator[None]:
    """Run no DNS server until the block ends, and return once one runs again."""
    name, namespace = DNS
    replicas = read(kube, "deployment", name, namespace)["spec"]["replicas"]
    pods = (f"deployment/{name}", namespace)
    kube.run("scale", pods[0], "--replicas=0", namespace=namespace)
    try:
        until("DNS is away", lambda: not kube.items("pods", namespace, "--selector=k8s-app=kube-dns"), 60)
        yield
    finally:
        kube.run("scale", pods[0], f"--replicas={replicas}", namespace=namespace)
        kube.run("rollout", "status", pods[0], "--timeout=60s", namespace=namespace)


def is_whole(kube: Kube, *, has_rotated: bool) -> bool:
    """Tell whether the storage is large and redundant, and its rotation, if there was one, has ended."""
    found = read(kube, "sessionstorage", NAME, STORAGES)
    status, needed = found["status"], ("Ready", "Redundant", *(("CredentialRotated",) if has_rotated else ()))
    is_right = all(condition(found, kind).get("status") == "True" for kind in needed)
    return is_right and status["phase"] == "Ready" and status["size"] == "large" and len(status["nodes"]) == 3


@pytest.fixture(name="nameless")
def nameless_fixture(run: Run) -> Iterator[Kube]:
    """Create a medium storage, and remove it at the end: three large instances would leave others no room."""
    run.kube.run("delete", "sessionstorage", NAME, "--ignore-not-found", namespace=STORAGES)
    run.kube.apply(storage(NAME, STORAGES, size="medium"))
    await_ready(run.kube, STORAGES, NAME)
    yield run.kube
    run.kube.run("delete", "sessionstorage", NAME, namespace=STORAGES)


@pytest.mark.parametrize("rotates", [False, pytest.param(True, marks=pytest.mark.drill)], ids=["grows", "rotates too"])
def test_a_storage_that_grows_and_rotates_without_dns_is_whole_soon_after_it_is_back(
    nameless: Kube, figures: list[str], *, rotates: bool
) -> None:
    """The short form takes 20 s, the drill two and a half minutes."""
    kube = nameless
    asked = {"annotations": {names.ANNOTATION_ROTATE: "one"}} if rotates else {}
    with without_dns(kube):
        begun = time.monotonic()
        patch = json.dumps({"metadata": asked, "spec": {"size": "large"}})
        kube.run("patch", "sessionstorage", NAME, "--type=merge", f"--patch={patch}", namespace=STORAGES)
        with contextlib.suppress(NotInTime):
            until("it is whole without DNS", lambda: is_whole(kube, has_rotated=rotates), AWAY_SECONDS)
        took = time.monotonic() - begun
        figures.append(f"without DNS: {'' if is_whole(kube, has_rotated=rotates) else 'not '}whole after {took:.0f} s")
    healed = time.monotonic()
    until("it is whole with DNS", lambda: is_whole(kube, has_rotated=rotates), HEALING_SECONDS)
    figures.append(f"whole {time.monotonic() - healed:.1f} s after DNS was back")
