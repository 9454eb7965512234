"""Inflicts faults on storages of the local cluster and writes docs/resilience.md: `python -m tests.chaos`.

With `--rotating` it inflicts them in the middle of password rotations, and writes docs/resilience-rotation.md.
"""

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
from deploy.local.deviations import deviations
from deploy.local.errors import LocalClusterError
from deploy.local.nodeservices import proxy_mode
from shared.session_storage.sizes import Size
from shared.session_storage.status import RotationPhase
from tests.chaos import catalogue, picture, report, suite
from tests.chaos.archive import OtherFormat, dump, load, merged
from tests.chaos.report import Circumstances
from tests.chaos.rotating import report as rotating_report
from tests.chaos.rotating import suite as rotating_suite
from tests.chaos.rotating.rotation import PHASES
from tests.support import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tests.chaos.report import Measured

DOCS: Final = Path(__file__).parents[2] / "docs"
DOCUMENT: Final = DOCS / "resilience.md"
ARCHIVE: Final = DOCUMENT.with_suffix(".json")
PICTURE: Final = DOCUMENT.with_suffix(".svg")
ROTATING_DOCUMENT: Final = DOCS / "resilience-rotation.md"
RUNS: Final = 5
VERSIONS: Final = {"Kubernetes": binaries.KUBERNETES_VERSION, "ToolHive": binaries.TOOLHIVE_VERSION}


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    described = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    described.add_argument(
        "--faults",
        type=_of(catalogue.BY_NAME),
        help=f"names, separated by commas; all by default, with --rotating {', '.join(rotating_suite.DEFAULTS)}",
    )
    described.add_argument(
        "--sizes", type=_of([size.value for size in Size]), help="sizes, separated by commas; all by default"
    )
    described.add_argument(
        "--rotating", action="store_true", help="inflict faults in the middle of rotations, on a large storage"
    )
    described.add_argument(
        "--phase",
        type=RotationPhase,
        choices=PHASES,
        help="phase of the rotation in which each fault begins; random by default",
    )
    described.add_argument(
        "--runs",
        type=int,
        help=f"runs of each fault on each size; {RUNS} by default, with --rotating {rotating_suite.RUNS}",
    )
    described.add_argument("--seed", type=int, help="seed of all random choices; a new one by default")
    described.add_argument(
        "--write",
        action="store_true",
        help="write the document even after a part of the faults; without --rotating, rows of the others stay",
    )
    return described


def _of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return a parser of known names that are separated by commas."""

    def names(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: known are {', '.join(known)}")
        return chosen

    return names


def run(given: argparse.Namespace) -> bool:
    """Run what the command line asks for, and tell whether every target was met.

    Raises:
        DemoError: A step failed, or KUBECONFIG names another cluster.
        LocalClusterError: The local cluster is not as it should be.
    """
    if not paths.is_local(os.environ):
        raise DemoError(
            "KUBECONFIG names another cluster; this program cuts off nodes and kills processes on the local one only"
        )
    kube = Kube.of(os.environ)
    if complaint := kube.refusal("get", "nodes"):
        raise DemoError(f"the local cluster is not up (`make cluster` starts it): {complaint}")
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    progress.step(f"seed {seed}")
    return _rotating(kube, given, seed) if given.rotating else _settled(kube, given, seed)


def _settled(kube: Kube, given: argparse.Namespace, seed: int) -> bool:
    faults = [catalogue.BY_NAME[name] for name in given.faults or catalogue.BY_NAME]
    sizes = [Size(name) for name in given.sizes or Size]
    plan = suite.Plan(faults, sizes, given.runs or RUNS, seed)
    measured = suite.measure(kube, Images.of(os.environ), plan)
    is_partial = bool(given.faults or given.sizes)
    is_kept = given.write or not is_partial
    told = _with_others(measured) if is_kept and is_partial and ARCHIVE.exists() else measured
    if is_kept:
        ARCHIVE.write_text(dump(told))
        PICTURE.write_text(picture.svg(told))
    _output(report.document(told, _circumstances(measured.valkey, seed)), DOCUMENT, is_kept=is_kept)
    return report.is_met(measured.trials)


def _with_others(measured: Measured) -> Measured:
    try:
        return merged(load(ARCHIVE.read_text()), measured)
    except OtherFormat:
        progress.step(f"all former runs in {ARCHIVE.name} are left out, because they were measured in another way")
        return measured


def _rotating(kube: Kube, given: argparse.Namespace, seed: int) -> bool:
    faults = [catalogue.BY_NAME[name] for name in given.faults or rotating_suite.DEFAULTS]
    plan = rotating_suite.Plan(faults, given.phase, given.runs or rotating_suite.RUNS, seed)
    trials, valkey = rotating_suite.measure(kube, Images.of(os.environ), plan)
    text = rotating_report.document(trials, _circumstances(valkey, seed))
    _output(text, ROTATING_DOCUMENT, is_kept=given.write or not (given.faults or given.phase))
    return rotating_report.is_met(trials)


def _circumstances(valkey: str, seed: int) -> Circumstances:
    facts = {**machine.facts(), "Valkey": valkey, **VERSIONS}
    return Circumstances(datetime.now(UTC).date().isoformat(), facts, seed, deviations(proxy_mode(os.environ)))


def _output(text: str, document: Path, *, is_kept: bool) -> None:
    sys.stdout.write(text)
    if is_kept:
        document.write_text(text)


def main() -> int:
    """Run the command line; print an expected error as one message."""
    # SIGTERM then ends the program as Ctrl-C does, and every fault is undone on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return 0 if run(parser().parse_args()) else 1
    except (DemoError, LocalClusterError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
