"""What tests measure, on its way to whoever reads the report. Workers send it along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest

FIGURE: Final = "figure"


def figures_of(report: pytest.TestReport) -> list[str]:
    """List what a test has measured, as told by its last report."""
    return [str(said) for name, said in report.user_properties if name == FIGURE]
