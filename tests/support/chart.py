"""Where the chart's own files are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CHART: Final = Path(__file__).parents[2] / "deploy" / "chart"
VALUES: Final = CHART / "values.yaml"
