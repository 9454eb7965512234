"""Runs levels of tests, and prints the output and the duration of each.

All levels run, even if one fails. A level that runs beside others prints its output when it has ended.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.levels import catalogue
from deploy.levels.level import Level, Outcome, budgets, closing, recorded
from deploy.local.paths import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from typing import BinaryIO

TABLE = REPOSITORY / "CONTRIBUTING.md"
LOGS = REPOSITORY / ".test-logs"
"""Directory of the output so far of levels that run beside others."""


async def run_stages(stages: Iterable[Iterable[Sequence[Level]]]) -> list[Outcome]:
    """Run stages one after the other, the lanes of a stage side by side, and return the outcome of every level."""
    outcomes: list[Outcome] = []
    for lanes in map(tuple, stages):
        run = _run_aloud if len(lanes) == 1 else _run_aside
        for lane in await asyncio.gather(*(_run_lane(levels, run) for levels in lanes)):
            outcomes += lane
    return outcomes


async def _run_lane(levels: Sequence[Level], run: Callable[[Level], Awaitable[Outcome]]) -> list[Outcome]:
    return [await run(level) for level in levels]


async def _run_aloud(level: Level) -> Outcome:
    _say(f"=== {level.name}")
    return await _run(level, output=None)


async def _run_aside(level: Level) -> Outcome:
    """Run a level beside others, and print its output when it has ended."""
    log = LOGS / f"{level.name}.log"
    _say(f"--- {level.name} begins: {log.relative_to(LOGS.parent)}")
    with log.open("wb") as output:
        outcome = await _run(level, output)
    _say(f"=== {level.name}\n{log.read_text(errors='replace')}")
    return outcome


async def _run(level: Level, output: BinaryIO | None) -> Outcome:
    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *level.command, cwd=REPOSITORY, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
    )
    status = await process.wait()
    return Outcome(level.name, time.monotonic() - begun, passed=status == 0)


def _say(text: str) -> None:
    print(text.rstrip("\n"), flush=True)


def main() -> int:
    """Run the named levels one by one, or all levels with some side by side; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m deploy.levels", description="Runs levels of tests.")
    parser.add_argument(
        "levels", nargs="*", metavar="LEVEL", help=f"one of {', '.join(catalogue.LEVELS)}; without any, all of them"
    )
    parser.add_argument("--record", action="store_true", help="write the seconds into the table in CONTRIBUTING.md")
    arguments = parser.parse_args()
    names: list[str] = arguments.levels
    if unknown := set(names) - catalogue.LEVELS.keys():
        parser.error(f"there is no level {', '.join(sorted(unknown))}")
    # Levels call the programs of the environment that runs this.
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    LOGS.mkdir(exist_ok=True)
    begun = time.monotonic()
    stages = [[[catalogue.LEVELS[name] for name in names]]] if names else catalogue.STAGES
    outcomes = asyncio.run(run_stages(stages))
    _say(f"=== all, in {time.monotonic() - begun:.0f} s")
    for line in closing(outcomes, budgets(TABLE.read_text())):
        _say(line)
    if arguments.record:
        TABLE.write_text(recorded(TABLE.read_text(), outcomes))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
