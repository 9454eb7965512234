"""Hundreds of stores that do not answer hold up no managed storage."""

from __future__ import annotations

import socket
import time

import pytest

from tests.integration.control_plane import Kubectl
from tests.integration.storages import await_ready, await_reason, storage

STORES = 300

pytestmark = pytest.mark.usefixtures("processes", "kubelet")


def seconds_until_ready(kubectl: Kubectl, namespace: str, name: str) -> float:
    begun = time.monotonic()
    kubectl.api.create(storage(name, namespace, size="small"))
    await_ready(kubectl, namespace, name)
    return time.monotonic() - begun


def test_a_managed_storage_is_ready_as_fast_beside_three_hundred_stores_that_do_not_answer(
    kubectl: Kubectl, namespace: str, figures: list[str]
) -> None:
    alone = seconds_until_ready(kubectl, namespace, "alone")
    # The kernel accepts their connections, and nobody ever answers.
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        for number in range(STORES):
            kubectl.api.create(storage(f"silent-{number}", namespace, external={"url": url}))
        await_reason(kubectl, namespace, "silent-0", "TimedOut")
        beside = seconds_until_ready(kubectl, namespace, "beside")
    figures.append(f"Ready after {alone:.2f} s alone, {beside:.2f} s beside {STORES} stores that do not answer")
    assert beside < 2 * alone + 1
