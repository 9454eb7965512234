"""Runs drills on one kind of cluster, in a process of its own, and collects what came of each."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import pytest

from tests.drills.report import Drill
from tests.support.figures import figures_of


@dataclass(frozen=True)
class Sitting:
    """Drills that need the same cluster.

    Attributes:
        tests: Where they are.
        profile: Profile of the local cluster that is brought up for them alone; empty if they take what there is.
    """

    tests: tuple[str, ...]
    profile: str = ""

    def run(self) -> Outcome:
        """Run them to their end, and take down the cluster that was brought up for them.

        A cluster that does not come up stays as it is, with its logs.
        """
        if not self.profile:
            return in_own_process(self.tests)
        for command in (("down",), ("up", "--profile", self.profile)):
            if status := local(*command):
                return Outcome(status, ())
        try:
            return in_own_process(self.tests)
        finally:
            local("down")


@dataclass(frozen=True)
class Outcome:
    """What came of a sitting.

    Attributes:
        status: pytest's exit status, or that of the command that could not bring up the cluster.
        drills: Each drill that ran.
    """

    status: int
    drills: tuple[Drill, ...]


def local(*command: str) -> int:
    """Run a command of the local cluster, and return its exit status."""
    return subprocess.run([sys.executable, "-m", "deploy.local", *command], check=False).returncode


def in_own_process(tests: tuple[str, ...]) -> Outcome:
    """Run pytest in a fresh interpreter: what to collect depends on the cluster, and modules are imported only once."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(_run, tests).result()


def _run(tests: tuple[str, ...]) -> Outcome:
    recorder = Recorder()
    status = pytest.main(["--drills", "-v", *tests], plugins=[recorder])
    return Outcome(int(status), recorder.drills())


class Recorder:
    """A pytest plugin that collects the reports of each drill."""

    def __init__(self) -> None:
        self._reports: dict[str, list[pytest.TestReport]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.setdefault(report.nodeid, []).append(report)

    def drills(self) -> tuple[Drill, ...]:
        return tuple(_drill(nodeid, reports) for nodeid, reports in self._reports.items())


def _drill(nodeid: str, reports: list[pytest.TestReport]) -> Drill:
    is_whole = all(report.passed for report in reports)
    return Drill(nodeid, sum(report.duration for report in reports), is_whole, tuple(figures_of(reports[-1])))
