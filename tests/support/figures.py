"""Figures that tests measure; pytest-xdist's workers send them along with their reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest

FIGURE: Final = "figure"


def figures_of(report: pytest.TestReport) -> list[str]:
    """List the figures that a test has measured, from its last report."""
    return [str(said) for name, said in report.user_properties if name == FIGURE]
