"""The API server is away in the middle of a rotation: consumers can log in with their passwords all the time."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from deploy.demo.kube import until
from deploy.local import paths, processes
from reconciler.credentials import identities
from reconciler.runtime.leader_election import LEASE_DURATION_SECONDS
from tests.e2e import test_rotation as rotations
from tests.e2e.conftest import Run
from tests.e2e.namespaces import ROTATION
from tests.e2e.storages import read, secret
from tests.e2e.test_rotation import ROTATION_SECONDS, LoadPod, annotate, is_over

rotated = rotations.rotated


@contextlib.contextmanager
def api_server_frozen() -> Iterator[None]:
    """Stop the API server's process: connections to it stay open, and nobody gets an answer."""
    pids = [each.pid for each in processes.marked(paths.state()) if each.service == "node1/kube-apiserver"]
    assert pids
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("rotated", ["small"], indirect=True)
@pytest.mark.parametrize(
    ("phase", "seconds"),
    [
        ("AwaitConsumers", LEASE_DURATION_SECONDS + 5),
        pytest.param("Published", 60, marks=pytest.mark.drill),
        pytest.param("AwaitConsumers", 60, marks=pytest.mark.drill),
    ],
)
def test_the_api_server_may_be_away_for_longer_than_a_lease_lasts(
    run: Run, rotated: str, phase: str, seconds: int, figures: list[str]
) -> None:
    kube, size, word = run.kube, rotated, f"away-{phase.lower()}"
    old = secret(kube, f"{size}-auth", ROTATION)
    load = LoadPod(kube, f"load-{word}")
    load.start(run, size)
    reached = rotations.PHASES[rotations.PHASES.index(phase) :]
    annotate(kube, size, word)
    until(f"the rotation is as far as {phase}", lambda: rotations.is_in(kube, size, reached), 60)
    with api_server_frozen():
        # Nobody can query a cluster whose API server is away: the time itself is the fault under test.
        threading.Event().wait(seconds)
    seen = load.stop()
    figures.append(f"API server away for {seconds} s in {phase}: {seen['logins']} logins, {seen['failures']} failures")
    assert seen["said"] == []
    assert seen["failures"] == 0
    until("the rotation is over", lambda: is_over(kube, size, word), ROTATION_SECONDS)
    handed_out = secret(kube, f"{size}-connection", ROTATION)["REDIS_PASSWORD"]
    assert handed_out != old["password"]
    assert handed_out == secret(kube, f"{size}-auth", ROTATION)["password"]
    auth = read(kube, "secret", f"{size}-auth", ROTATION)
    assert old["password"] not in identities.decoded(auth["data"]).values()
