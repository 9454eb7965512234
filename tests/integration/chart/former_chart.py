"""A much older chart, out of an archive beside this module: a shallow clone of this repository lacks it.

It is the chart of the commit 93b726a, which had none of the values `rotation`, `alerts` and `requireInjection`:

    git archive 93b726a deploy/chart | xz -9e > tests/integration/chart/93b726a.tar.xz
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Final

_ARCHIVE: Final = Path(__file__).parent / "93b726a.tar.xz"


def unpacked(directory: Path) -> Path:
    """Unpack it in a directory, and return where the chart is."""
    with tarfile.open(_ARCHIVE) as tar:
        tar.extractall(directory, filter="data")
    return directory / "deploy" / "chart"
