"""ToolHive's Helm charts, taken out of the source that Go's module proxy serves."""

from pathlib import Path

from deploy.local.binaries import TOOLHIVE_MODULE, TOOLHIVE_VERSION
from deploy.local.gomodule import GoModule


def chart(name: str, version: str = TOOLHIVE_VERSION) -> Path:
    """Return a chart directory of ToolHive's own source, fetching that first if needed.

    Args:
        name: `operator` or `operator-crds`.
        version: A released version, such as `v0.63.0`.

    Raises:
        StepFailed: The source could not be fetched.
    """
    return GoModule(TOOLHIVE_MODULE, version).directory("deploy/charts", "toolhive-charts") / name
