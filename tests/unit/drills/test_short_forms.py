"""Every drill has a short form; this test takes ten seconds, because pytest collects all tests twice."""

from __future__ import annotations

import subprocess
import sys

from deploy.local.paths import REPOSITORY


def collected(*options: str) -> set[str]:
    """Name the test functions that pytest finds."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/integration", "tests/e2e", *options]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return {line.partition("[")[0] for line in said.splitlines() if "::" in line}


def test_make_test_has_a_short_form_of_every_drill() -> None:
    drills = collected("--drills")
    assert drills
    assert drills - collected() == set()
