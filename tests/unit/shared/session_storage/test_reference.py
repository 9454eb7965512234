"""The reference of the API says of each field what the API server does, and names every annotation for users."""

from __future__ import annotations

import ast
import inspect
import itertools
from typing import Final

import pytest

from shared import names
from shared.session_storage.reference import ANNOTATIONS, reference

PAGE: Final = reference()


def rows(heading: str) -> dict[str, list[str]]:
    """Read the table below a heading, by its first column."""
    _, _, section = PAGE.partition(f"# {heading}\n")
    table = section.partition("\n#")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table if line.startswith("| ")]
    return {first.strip("`"): rest for first, *rest in cells}


@pytest.mark.parametrize(
    ("heading", "field", "said"),
    [
        ("spec", "size", ["`small`, `medium`, `large`", "`medium`, unless `external` is set"]),
        ("spec", "allowedNamespaces", ["array of strings", "none but the storage's own"]),
        ("spec.rotation", "every", ["string", "required"]),
        ("status", "nodes", ["array of objects", "The Valkey instances of a managed storage."]),
        ("status.lastFailover", "at", ["time", "When the Service began to lead clients to the new primary."]),
    ],
)
def test_a_field_has_a_type_a_default_and_a_meaning(heading: str, field: str, said: list[str]) -> None:
    assert rows(heading)[field][: len(said)] == said


def test_a_field_has_the_rules_that_the_api_server_enforces() -> None:
    rules = rows("spec.rotation")["every"][2]
    assert rules == "must be a time of hours and minutes, such as 720h or 90m, and at least 1h; at most 16 characters"


def test_every_annotation_that_users_write_on_a_storage_is_listed() -> None:
    nodes = ast.parse(inspect.getsource(names)).body
    described = [
        node.targets[0] if isinstance(node, ast.Assign) else node.target
        for node, text in itertools.pairwise(nodes)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and str(text.value.value).startswith("On a storage")
    ]
    wanted = {getattr(names, target.id) for target in described if isinstance(target, ast.Name)}
    assert len(wanted) >= 6
    assert {name for name, _ in ANNOTATIONS} == wanted
