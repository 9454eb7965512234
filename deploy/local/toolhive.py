"""ToolHive's Helm charts, taken out of the source that Go's module proxy serves."""

import zipfile
from pathlib import Path, PurePosixPath

from deploy.local import paths, toolchain
from deploy.local.binaries import TOOLHIVE_MODULE, TOOLHIVE_VERSION


def chart(name: str, version: str = TOOLHIVE_VERSION) -> Path:
    """Return a chart directory of ToolHive's own source, fetching that first if needed.

    Args:
        name: `operator` or `operator-crds`.
        version: A released version, such as `v0.63.0`.

    Raises:
        StepFailed: The source could not be fetched.
    """

    def fetch(work: Path) -> None:
        _extract_charts(toolchain.module_zip(f"{TOOLHIVE_MODULE}@{version}"), work)

    return paths.once(paths.builds() / f"toolhive-charts-{version}", fetch) / name


def _extract_charts(module_zip: Path, destination: Path) -> None:
    with zipfile.ZipFile(module_zip) as source:
        for member in source.namelist():
            # Module files are named module@version/path; a module path has three parts here.
            inside = PurePosixPath(*PurePosixPath(member).parts[3:])
            if inside.is_relative_to("deploy/charts"):
                target = destination / inside.relative_to("deploy/charts")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read(member))
