"""Draws which package imports which, from the imports themselves: `python -m tests.layout.diagram`.

Rewrites the diagram between the two markers of `docs/architecture.md`; `--check` only says whether it is fresh. An
arrow that follows from other arrows is left out, so that the picture shows layers and not every import.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "architecture.md"
BEGIN: Final = "<!-- diagram: made by `make generate` from the imports; do not edit -->\n"
END: Final = "<!-- end of the diagram -->\n"
PROCESSES: Final = ("webhook", "reconciler", "certs", "shared")


def packages(graph: grimp.ImportGraph) -> dict[str, str]:
    """Tell for each module which package it is drawn in: its folder."""
    folders = {module for module in graph.modules if graph.find_children(module)}
    return {module: next(name for name in _prefixes(module) if name in folders) for module in graph.modules}


def imports(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    """Tell which packages each package imports."""
    home = packages(graph)
    found: dict[str, set[str]] = {package: set() for package in home.values()}
    for module, package in home.items():
        found[package] |= {home[imported] for imported in graph.find_modules_directly_imported_by(module)} - {package}
    return found


def reduced(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out each arrow that a longer way along other arrows says as well."""
    return {
        package: {
            target
            for target in targets
            if not any(target in _reached(arrows, other) for other in targets if other != target)
        }
        for package, targets in arrows.items()
    }


def mermaid(arrows: dict[str, set[str]]) -> str:
    """Write the diagram in Mermaid's language."""
    lines = ["```mermaid", "flowchart TD"]
    for process in PROCESSES:
        lines.append(f'  subgraph {process}_folder["{process}/"]')
        members = sorted(package for package in arrows if package.partition(".")[0] == process)
        lines += [f'    {_identifier(package)}["{_title(package)}"]' for package in members]
        lines.append("  end")
    lines += [
        f"  {_identifier(package)} --> {_identifier(target)}"
        for package, targets in sorted(reduced(arrows).items())
        for target in sorted(targets)
    ]
    return "\n".join([*lines, "```", ""])


def drawn(page: str) -> str:
    """Return the page with a fresh diagram."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{mermaid(imports(grimp.build_graph(*PROCESSES)))}{END}{after}"


def main() -> int:
    """Write the diagram, or check it."""
    parser = argparse.ArgumentParser(prog="python -m tests.layout.diagram", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if the diagram is stale")
    arguments = parser.parse_args()
    page = PAGE.read_text()
    if arguments.check:
        return int(drawn(page) != page)
    PAGE.write_text(drawn(page))
    return 0


def _prefixes(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]


def _reached(arrows: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        for target in arrows[ahead.pop()] - seen:
            seen.add(target)
            ahead.append(target)
    return seen


def _title(package: str) -> str:
    process, _, rest = package.partition(".")
    return f"{rest}/" if rest else f"{process}/*.py"


def _identifier(package: str) -> str:
    return package.replace(".", "_")


if __name__ == "__main__":
    sys.exit(main())
