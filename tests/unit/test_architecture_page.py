"""The files and folders that docs/architecture.md names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def test_the_table_of_where_to_change_what_names_existing_files() -> None:
    _, _, section = PAGE.partition("## Where to change what\n")
    table, _, _ = section.partition("\n## ")
    rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
    named = [re.findall(r"`([a-z_/]+\.py)`", row) for row in rows]
    assert len(rows) == 14
    assert all(named), "each row names a file"
    assert not [path for paths in named for path in paths if not (ROOT / path).is_file()]


def test_every_folder_of_the_product_is_in_the_picture_of_folders() -> None:
    _, _, section = PAGE.partition("## Folders\n")
    picture = section.split("```")[1]
    packages = {
        path.parent for top in ("webhook", "reconciler", "certs", "shared") for path in (ROOT / top).rglob("*.py")
    }
    drawn = set(re.findall(r"^ *([a-z_]+)/", picture, re.MULTILINE))
    assert {package.name for package in packages} == drawn
