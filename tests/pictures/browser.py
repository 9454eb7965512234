"""Takes a picture of a page with a real browser."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from deploy.local.errors import PrerequisiteMissing

if TYPE_CHECKING:
    from pathlib import Path

BROWSERS: Final = ("chromium-headless-shell", "chromium", "google-chrome")
SECONDS: Final = 60


def picture(page: str, file: Path, width: int, height: int) -> None:
    """Draw a page of HTML into a PNG file.

    Raises:
        PrerequisiteMissing: There is no browser.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise PrerequisiteMissing("Pictures of dashboards need a browser: install Debian's chromium-headless-shell.")
    source = file.with_suffix(".html")
    source.write_text(page)
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb")
    command = (program, *options, f"--window-size={width},{height}", f"--screenshot={file}", f"file://{source}")
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
    finally:
        source.unlink()
