"""Inflicts faults on storages of the local cluster and writes docs/resilience.md: `python -m tests.chaos`."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import DemoError
from deploy.demo.images import Images
from deploy.demo.kube import Kube
from deploy.local import binaries, paths, progress
from deploy.local.errors import LocalClusterError
from shared.sizes import Size
from tests import machine
from tests.chaos import catalogue, report, suite
from tests.chaos.report import Circumstances
from tests.chaos.suite import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "resilience.md"
RUNS: Final = 5
VERSIONS: Final = {"Kubernetes": binaries.KUBERNETES_VERSION, "ToolHive": binaries.TOOLHIVE_VERSION}


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    described = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    described.add_argument("--faults", type=_of(catalogue.BY_NAME), help="names, with commas; all by default")
    described.add_argument("--sizes", type=_of([size.value for size in Size]), help="with commas; all by default")
    described.add_argument("--runs", type=int, default=RUNS, help="of each fault on each size")
    described.add_argument("--seed", type=int, help="of all chance; a new one by default")
    described.add_argument("--write", action="store_true", help="write the document although not everything was done")
    return described


def _of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Read names with commas between them, all of which must be known."""

    def names(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: known are {', '.join(known)}")
        return chosen

    return names


def run(given: argparse.Namespace) -> bool:
    """Do what the command line says, and tell whether every target was met.

    Raises:
        DemoError: It could not be done.
        LocalClusterError: The local cluster is not as it should be.
    """
    if not paths.is_local(os.environ):
        raise DemoError(
            "KUBECONFIG names another cluster; nodes are cut off and processes killed on the local one only"
        )
    faults = [catalogue.BY_NAME[name] for name in given.faults or catalogue.BY_NAME]
    sizes = [Size(name) for name in given.sizes or Size]
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    progress.step(f"seed {seed}")
    measured = suite.measure(Kube.of(os.environ), Images.of(os.environ), Plan(faults, sizes, given.runs, seed))
    facts = {**machine.facts(), "Valkey": measured.valkey, **VERSIONS}
    text = report.document(measured, Circumstances(datetime.now(UTC).date().isoformat(), facts, seed))
    sys.stdout.write(text)
    if given.write or not (given.faults or given.sizes):
        DOCUMENT.write_text(text)
    return report.is_met(measured.trials)


def main() -> int:
    """Run, and say what went wrong in one message."""
    # As Ctrl-C does: what is broken is mended on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return 0 if run(parser().parse_args()) else 1
    except (DemoError, LocalClusterError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
