"""Runs the drills, which are the tests with the marker `drill`, and writes docs/drills.md."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import pytest

from deploy.local.paths import REPOSITORY
from tests.drills.report import Drill, page, tally
from tests.support.figures import figures_of

PAGE = REPOSITORY / "docs" / "drills.md"


class Recorder:
    """A pytest plugin that collects the reports of each drill."""

    def __init__(self) -> None:
        self._reports: dict[str, list[pytest.TestReport]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.setdefault(report.nodeid, []).append(report)

    def drills(self) -> list[Drill]:
        return [_drill(nodeid, reports) for nodeid, reports in self._reports.items()]


def _drill(nodeid: str, reports: list[pytest.TestReport]) -> Drill:
    is_whole = all(report.passed for report in reports)
    return Drill(nodeid, sum(report.duration for report in reports), is_whole, tuple(figures_of(reports[-1])))


def main(arguments: list[str]) -> int:
    """Run the drills of the given tests, or all drills; only a run of all drills writes the page."""
    recorder = Recorder()
    asked = arguments or ["tests/integration", "tests/e2e"]
    status = pytest.main(["--drills", "-v", *asked], plugins=[recorder])
    drills = recorder.drills()
    if drills and not arguments:
        PAGE.write_text(page(drills, datetime.now(UTC).date(), os.cpu_count() or 1))
    for drill in drills:
        sys.stdout.write(f"{'passed' if drill.passed else 'FAILED'} {drill.seconds:5.0f} s  {drill.sentence}\n")
    sys.stdout.write(f"{tally(drills)}\n")
    return int(status)


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    sys.exit(main(sys.argv[1:]))
