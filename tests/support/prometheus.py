"""Debian's Prometheus and promtool, unpacked into the cache: nothing is installed, and no service starts.

19 MB are fetched once, by apt-get, which checks Debian's signatures; that takes three seconds.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from deploy.local import paths, progress
from deploy.local.errors import PrerequisiteMissing, StepFailed

PACKAGE: Final = "prometheus"


def program(name: str) -> Path:
    """Find `prometheus` or `promtool`.

    Raises:
        PrerequisiteMissing: It is not on PATH, and this is no Debian.
        StepFailed: It could not be fetched.
    """
    if found := shutil.which(name):
        return Path(found)
    return paths.once(paths.builds() / f"{PACKAGE}-debian", _fetch) / "usr" / "bin" / name


def _fetch(target: Path) -> None:
    if shutil.which("apt-get") is None:
        raise PrerequisiteMissing(
            "Tests of alerts need promtool, which is not on PATH: install Prometheus 2.42 or newer."
        )
    target.mkdir()
    log = paths.logs() / f"{PACKAGE}.log"
    try:
        _download(target, log)
    except StepFailed:
        # Most often the package lists are missing or past their date.
        progress.run("apt-get update", ["apt-get", "update"], log=log)
        _download(target, log)
    (package,) = target.glob("*.deb")
    progress.run(f"unpacking {PACKAGE}", ["dpkg-deb", "--extract", package, target], log=log)
    package.unlink()


def _download(target: Path, log: Path) -> None:
    what = f"fetching Debian's package {PACKAGE}"
    progress.run(what, ["apt-get", "download", PACKAGE], log=log, cwd=target)
