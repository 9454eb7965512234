"""Runs the drills, which are the tests with the marker `drill`, and writes docs/drills.md."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

from deploy.local import paths
from deploy.local.paths import REPOSITORY
from deploy.local.profile import AWKWARD
from tests.drills.report import page, tally
from tests.drills.sitting import Sitting

PAGE = REPOSITORY / "docs" / "drills.md"
ALL = (Sitting(("tests/integration", "tests/e2e")), Sitting(("tests/e2e/awkward",), AWKWARD.name))


def sittings(arguments: list[str], *, is_local: bool) -> tuple[Sitting, ...]:
    """Choose what to run: the given tests on the cluster that there is, or else all drills.

    A cluster that KUBECONFIG names cannot be made awkward.
    """
    return (Sitting(tuple(arguments)),) if arguments else tuple(each for each in ALL if is_local or not each.profile)


def main(arguments: list[str]) -> int:
    """Run the drills of the given tests, or all drills; only a run of all drills writes the page."""
    chosen = sittings(arguments, is_local=paths.is_local(os.environ))
    outcomes = [sitting.run() for sitting in chosen]
    drills = [drill for outcome in outcomes for drill in outcome.drills]
    if chosen == ALL and all(outcome.drills for outcome in outcomes):
        PAGE.write_text(page(drills, datetime.now(UTC).date(), os.cpu_count() or 1))
    for drill in drills:
        sys.stdout.write(f"{'passed' if drill.passed else 'FAILED'} {drill.seconds:5.0f} s  {drill.sentence}\n")
    sys.stdout.write(f"{tally(drills)}\n")
    return max(outcome.status for outcome in outcomes)


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    sys.exit(main(sys.argv[1:]))
