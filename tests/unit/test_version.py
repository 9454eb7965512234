"""pyproject.toml defines the version, and every repetition of it agrees."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
TAG = re.compile(r"(?:toolhive-session-storage:|image\.tag=)(\d[\w.-]*)")
REMEDY = "run `make generate` and commit the result"


@pytest.mark.parametrize("field", ["version", "appVersion"])
def test_the_chart_has_the_version_of_the_project(field: str) -> None:
    chart = yaml.safe_load((ROOT / "deploy" / "chart" / "Chart.yaml").read_text())
    assert chart[field] == VERSION, REMEDY


@pytest.mark.parametrize("page", ["README.md", "docs/howto/install.md"])
def test_a_page_that_names_an_image_names_this_version_of_it(page: str) -> None:
    tags = TAG.findall((ROOT / page).read_text())
    assert tags
    assert set(tags) == {VERSION}, REMEDY


def test_no_other_page_names_a_version_that_would_need_updates() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.yaml")]
    repeating = {str(page.relative_to(ROOT)) for page in pages if TAG.search(page.read_text())}
    assert repeating == {"README.md", "docs/howto/install.md"}
