"""What kubelet makes of a server's answers: busy is not dead, and dead is not busy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.manifests.instance_spec import Image, InstanceSpec
from reconciler.manifests.stateful_set import stateful_set
from reconciler.manifests.valkey_config import BUSY_MILLISECONDS
from shared.session_storage.sizes import Size
from tests.support.storages import STORAGE

LIVENESS = stateful_set(STORAGE, InstanceSpec("mine", "team", 0, Size.MEDIUM, 5), Image("valkey", "Always"))["spec"][
    "template"
]["spec"]["containers"][0]["livenessProbe"]


def is_alive(directory: Path, says: str, status: int = 0) -> bool:
    """Run the probe with a client that gets this answer."""
    client = directory / "valkey-cli"
    client.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    client.chmod(0o755)
    *_, command = LIVENESS["exec"]["command"]
    environment = {"PATH": f"{directory}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize(
    "says",
    [
        "PONG",
        "LOADING Valkey is loading the dataset in memory",
        "MISCONF Errors writing to the AOF file: No space left on device",
        "MASTERDOWN Link with MASTER is down",
        "NOAUTH Authentication required.",
    ],
)
def test_a_server_that_answers_lives_whatever_it_says(tmp_path: Path, says: str) -> None:
    assert is_alive(tmp_path, says)


def test_a_server_that_does_not_answer_is_dead(tmp_path: Path) -> None:
    assert not is_alive(tmp_path, "Could not connect to Valkey at 127.0.0.1:6379: Connection refused", 1)


def test_a_script_counts_as_death_only_long_after_the_reconciler_has_tried_to_end_it(tmp_path: Path) -> None:
    assert not is_alive(tmp_path, "BUSY Valkey is busy running a script.")
    patience = LIVENESS["periodSeconds"] * (LIVENESS["failureThreshold"] - 1)
    assert patience >= 100 > 10 * BUSY_MILLISECONDS / 1000
