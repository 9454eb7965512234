"""Runs all benchmarks and writes docs/benchmarks.md: `python -m tests.bench`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deploy.local import binaries, toolchain
from tests.bench import creates, image, probing, programs, report, reviews
from tests.bench.reviews import CONNECTIONS, Plan
from tests.support import machine

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main() -> int:
    """Run the benchmarks that the command line describes."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6, help="how many turns each server has in each case")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn, in seconds")
    parser.add_argument("--creates", type=int, default=300, help="how many objects of each kind to create")
    parser.add_argument(
        "--probing-seconds", type=float, default=20.0, help="length of each run that watches storages, in seconds"
    )
    parser.add_argument(
        "--before",
        type=Path,
        metavar="CHECKOUT",
        help="another checkout of this project; its webhook is measured too",
    )
    given = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "root"
        image.unpack(root)
        facts = _facts(root)
        before = None
        if given.before is not None:
            before = given.before.resolve(), Path(directory) / "before"
            image.unpack(before[1], checkout=before[0])
        outcome = reviews.measure(Path(directory), root, Plan(given.rounds, given.seconds), before=before)
        created = creates.measure(Path(directory), root, given.creates)
        probed = probing.measure(Path(directory), root, given.probing_seconds)
    today = datetime.now(UTC).date().isoformat()
    circumstances = report.Circumstances(today, facts, load, given.rounds, given.seconds, CONNECTIONS, given.creates)
    DOCUMENT.write_text(report.document(outcome, created, probed, circumstances))
    return 0


def _facts(root: Path) -> dict[str, str]:
    go = subprocess.run(
        [toolchain.go(), "env", "GOVERSION"], capture_output=True, text=True, check=True, env=toolchain.environment()
    )
    return {
        **machine.facts(),
        "Python": image.python_of(root, ("aiohttp", "uvloop", "orjson")),
        "Go": f"{go.stdout.strip().removeprefix('go')}; controller-runtime {programs.CONTROLLER_RUNTIME.version}",
        "Kubernetes": binaries.KUBERNETES_VERSION,
    }


if __name__ == "__main__":
    sys.exit(main())
