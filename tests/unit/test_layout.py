"""Pure packages load no I/O, imports form no circle, and every module has its layer.

The first test starts one interpreter (2 s): import-linter reads the sources, and so sees imports, but not what a
library loads by itself.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grimp
import pytest

from tests.layout import diagram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parents[2]
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
PURE = next(contract for contract in CONTRACTS if contract["name"].startswith("Decisions do no I/O"))
LOADER = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    loaded = {"asyncio", "aiohttp", "kubernetes", "valkey", "libvalkey"} & set(sys.modules)
    assert not loaded, f"{name} loads {', '.join(sorted(loaded))}"
"""


@pytest.fixture(name="graph", scope="module")
def graph_fixture() -> grimp.ImportGraph:
    return grimp.build_graph(*diagram.PROCESSES, cache_dir=None, exclude_type_checking_imports=False)


def circle(imports: Mapping[str, Iterable[str]]) -> list[str]:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_module_of_a_pure_package_loads_io(graph: grimp.ImportGraph) -> None:
    modules = sorted(module for package in PURE["source_modules"] for module in graph.find_descendants(package))
    assert len(modules) >= len(PURE["source_modules"])
    run = subprocess.run([sys.executable, "-c", LOADER, *modules], cwd=ROOT, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()


def test_the_check_finds_io_where_there_is_some() -> None:
    run = subprocess.run([sys.executable, "-c", LOADER, "certs.controller"], cwd=ROOT, capture_output=True, check=False)
    assert b"certs.controller loads aiohttp, asyncio, kubernetes" in run.stderr


def test_no_module_imports_itself_by_way_of_others_not_even_for_types(graph: grimp.ImportGraph) -> None:
    assert circle({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}) == []


def test_no_package_imports_upward(graph: grimp.ImportGraph) -> None:
    """A module directly in a process's package counts by itself: all folders use some of these, such as metrics."""
    home = {
        module: module if package in diagram.PROCESSES else package
        for module, package in diagram.packages(graph).items()
    }
    imports: dict[str, set[str]] = {package: set() for package in home.values()}
    for module, package in home.items():
        imported = graph.find_modules_directly_imported_by(module)
        imports[package] |= {home[each] for each in imported} - {package}
    assert circle(imports) == []


def test_a_circle_is_found_where_there_is_one() -> None:
    assert circle({"a": ["b"], "b": ["c"], "c": ["a"]})


@pytest.mark.parametrize("process", diagram.PROCESSES)
def test_every_module_and_package_has_its_layer(graph: grimp.ImportGraph, process: str) -> None:
    layers = {
        name.strip()
        for contract in CONTRACTS
        if contract["type"] == "layers"
        for layer in contract["layers"]
        for name in layer.split("|")
    }
    assert {child for child in graph.find_children(process) if child not in layers} == set()
