"""Generated files are committed and up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("module", "file"),
    [
        pytest.param(
            "shared.session_storage.crd", "deploy/chart/files/sessionstorages.crd.yaml", id="the CRD of the chart"
        ),
        pytest.param("shared.session_storage.reference", "docs/reference/api.md", id="the reference of the API"),
        pytest.param("tests.rules.document", "docs/reference/rules.md", id="the table of rules"),
        pytest.param("tests.reference.metrics", "docs/reference/metrics.md", id="the reference of metrics"),
        pytest.param("tests.reference.conditions", "docs/reference/conditions.md", id="the reference of conditions"),
    ],
)
def test_a_generated_file_is_up_to_date_with_its_source(module: str, file: str) -> None:
    generated = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, check=True)
    assert (ROOT / file).read_bytes() == generated.stdout, "run `make generate` and commit the result"


def test_the_diagram_of_packages_is_up_to_date_with_the_imports() -> None:
    checked = subprocess.run([sys.executable, "-m", "tests.layout.diagram", "--check"], cwd=ROOT, check=False)
    assert checked.returncode == 0, "run `make generate` and commit the result"
