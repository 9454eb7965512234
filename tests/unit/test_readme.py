"""The README's first example is a file that runs, and its figures are those of the pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.demo import samples

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"\d+(?:\.\d+)?")
PAGE = re.compile(r"\[\w+\]\((docs/[\w-]+\.md)\)")
COUNT = re.compile(r"(?:\d+ of )?(\d+)")


def cells(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def totals(text: str) -> Iterator[str]:
    """Add up every column that counts something, and every table's rows: the README sums runs up."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = list(cells(table))[2:]
        yield str(len(rows))
        for column in zip(*rows, strict=True):
            if all(counts := [COUNT.fullmatch(cell) for cell in column]):
                yield str(sum(int(count[1]) for count in counts if count))


PROMISES = [(row[0], row[1], page[1]) for row in cells(README) if len(row) == 4 and (page := PAGE.fullmatch(row[2]))]


def test_the_first_example_is_the_quickstart_sample_word_for_word() -> None:
    assert YAML_BLOCK.findall(README)[0] == samples.QUICKSTART.read_text()


@pytest.mark.parametrize(("measured", "page"), [pytest.param(*row[1:], id=row[0]) for row in PROMISES])
def test_the_readmes_figures_are_those_of_the_page(measured: str, page: str) -> None:
    text = (ROOT / page).read_text()
    known = {*FIGURE.findall(text), *totals(text)}
    assert set(FIGURE.findall(measured)) <= known, f"measured anew? Write the figures of {page} into the README"
