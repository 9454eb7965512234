"""Every drill has a short form; these tests take some 15 seconds, because pytest collects all tests twice."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deploy.local.paths import REPOSITORY
from deploy.local.profile import AWKWARD
from tests.drills.__main__ import ALL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.drills.sitting import Sitting


def collected(sitting: Sitting, cache: Path, *options: str) -> set[str]:
    """Name the test functions that pytest finds where a sitting takes place."""
    environment = dict(os.environ)
    if sitting.profile:
        # As if such a cluster ran.
        nodes = cache / "state" / "nodes"
        nodes.mkdir(parents=True, exist_ok=True)
        (nodes / "profile").write_text(sitting.profile)
        environment |= {"SESSION_STORAGE_CACHE": str(cache), "SESSION_STORAGE_CLUSTER": "0"}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *sitting.tests, *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, env=environment)
    return {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}


@pytest.mark.parametrize("sitting", ALL, ids=lambda sitting: sitting.profile or "as-it-is")
def test_make_test_has_a_short_form_of_every_drill(tmp_path: Path, sitting: Sitting) -> None:
    drills = collected(sitting, tmp_path, "--drills")
    assert drills
    assert drills - collected(sitting, tmp_path) == set()


def test_rest_on_the_awkward_cluster_is_one_of_the_drills(tmp_path: Path) -> None:
    (sitting,) = (each for each in ALL if each.profile == AWKWARD.name)
    assert "tests/e2e/awkward/test_awkward.py::test_nothing_is_written_at_rest" in collected(
        sitting, tmp_path, "--drills"
    )
