"""Files that are generated are committed, and fresh."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_crd_of_the_chart_is_what_the_models_say() -> None:
    generated = subprocess.run([sys.executable, "-m", "shared.crd"], cwd=ROOT, capture_output=True, check=True)
    committed = (ROOT / "deploy/chart/files/sessionstorages.crd.yaml").read_bytes()
    assert committed == generated.stdout, "run `make generate` and commit the result"
