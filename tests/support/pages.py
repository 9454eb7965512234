"""Reads what pages show their readers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from shared.objects.resources import Object

PLATFORMS: Final = Path(__file__).parents[2] / "docs" / "howto" / "platforms.md"
"""The page that says what to set on which platform."""
_YAML: Final = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def yaml_blocks(page: Path) -> list[Object]:
    """List the YAML documents that a page shows, in their order."""
    return [obj for block in _YAML.findall(page.read_text()) for obj in yaml.safe_load_all(block)]


def chart_values(page: Path) -> list[Object]:
    """List the values of the chart among them: what is no Kubernetes object."""
    return [block for block in yaml_blocks(page) if "apiVersion" not in block]


def shown(page: Path, kind: str) -> Object:
    """Find the only Kubernetes object of a kind that a page shows."""
    (found,) = [block for block in yaml_blocks(page) if block.get("kind") == kind]
    return found
