"""The files, headings, modules and make targets that pages name exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# Decisions and release notes name the files of their time.
CURRENT = [page for page in PAGES if page.parent.name != "adr" and page.name != "CHANGELOG.md"]
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`[^`\n]+`")
"""Expressions there may look like links."""
CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w./<-])(?:certs|deploy|docs|reconciler|requirements|shared|tests|webhook)/[\w.*/-]*")
MODULE = re.compile(r"python -m ((?:deploy|tests|shared)[\w.]*)")
TARGET = re.compile(r"(?:^|[`\s])make ([a-z][a-z0-9-]*)")
PARAMETERS = pytest.mark.parametrize("page", CURRENT, ids=lambda page: str(page.relative_to(ROOT)))


def code(page: Path) -> Iterator[str]:
    for block, inline in CODE.findall(page.read_text()):
        yield block or inline


def anchors(page: Path) -> set[str]:
    """List the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_to_a_heading_that_it_has(page: Path) -> None:
    missing = []
    for link in LINK.findall(INLINE.sub("", FENCED.sub("", page.read_text()))):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    assert missing == []


@PARAMETERS
def test_every_path_in_code_exists(page: Path) -> None:
    named = {match.rstrip(".") for text in code(page) for match in PATH.findall(text)}
    assert sorted(path for path in named if not list(ROOT.glob(path.rstrip("/")))) == []


@PARAMETERS
def test_every_module_that_a_page_runs_exists(page: Path) -> None:
    named = {module.replace(".", "/") for text in code(page) for module in MODULE.findall(text)}
    assert (
        sorted(name for name in named if not list(ROOT.glob(f"{name}.py")) + list(ROOT.glob(f"{name}/__main__.py")))
        == []
    )


@PARAMETERS
def test_every_make_target_exists(page: Path) -> None:
    assert {target for text in code(page) for target in TARGET.findall(text)} <= TARGETS
