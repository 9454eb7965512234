"""Builds what tests alone need, so that no test whose seconds count waits for a compiler.

python -m tests.support.builds
"""

from __future__ import annotations

from deploy.local import binaries
from tests.e2e.local.former import release
from tests.integration import kstatus
from tests.support import prometheus


def main() -> None:
    """Build the programs and images that the cache lacks.

    Raises:
        StepFailed: One could not be made.
    """
    binaries.build([kstatus.PROGRAM])
    release.archive()
    prometheus.program("promtool")


if __name__ == "__main__":
    main()
