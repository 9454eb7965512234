"""What the chart says of SessionStorages holds for every version that the API server serves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from shared.session_storage.crd import SERVED_VERSIONS

ROOT: Final = Path(__file__).parents[3]
CONFIGURATION: Final = ROOT / "deploy" / "chart" / "templates" / "webhook" / "configuration.yaml"
RULE: Final = re.compile(r"apiVersions: \[(.*)\]\n\s+operations: \[(.*)\]\n\s+resources: \[sessionstorages\]")
STORAGE: Final = re.compile(r"apiVersion: toolhive\.stacklok\.dev/(\w+)\n\s*kind: SessionStorage\n")
PAGES: Final = [
    *("README.md", "deploy/samples/00-quickstart.yaml", "deploy/chart/templates/NOTES.txt"),
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs" / "howto").glob("*.md")),
]


def test_the_webhook_is_asked_about_storages_in_every_version() -> None:
    found = RULE.findall(CONFIGURATION.read_text())
    assert [operations for _, operations in found] == ["CREATE, UPDATE", "DELETE"]
    assert {tuple(versions.split(", ")) for versions, _ in found} == {SERVED_VERSIONS}


@pytest.mark.parametrize("page", PAGES)
def test_what_users_copy_names_the_newest_version(page: str) -> None:
    assert set(STORAGE.findall((ROOT / page).read_text())) <= {SERVED_VERSIONS[-1]}
