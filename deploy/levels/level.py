"""A level of tests, its budget, and what a run of levels comes to. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROW = re.compile(r"^(?P<promise>\| (?P<level>[\w -]+) \|.*\| (?P<budget>\d+) \|)[^|]*\|$", re.MULTILINE)
"""A row of the table in CONTRIBUTING.md: level, what it proves, budget in seconds, what was last measured."""


@dataclass(frozen=True)
class Level:
    """A part of all tests that runs, is measured and passes or fails as one.

    Attributes:
        name: Its name on the command line and in headings.
        command: Runs it; its exit status is the verdict.
    """

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """The result of a level.

    Attributes:
        level: Its name.
        seconds: How long it took.
        passed: Whether its command ended with status 0.
    """

    level: str
    seconds: float
    passed: bool


def budgets(contributing: str) -> dict[str, int]:
    """Read each level's budget, in seconds, from the table in CONTRIBUTING.md."""
    return {row["level"]: int(row["budget"]) for row in ROW.finditer(contributing)}


def recorded(contributing: str, outcomes: Sequence[Outcome]) -> str:
    """Write what was measured into the table of CONTRIBUTING.md; a level that did not pass keeps its figure."""
    seconds = {outcome.level: f"{outcome.seconds:.0f}" for outcome in outcomes if outcome.passed}

    def row(found: re.Match[str]) -> str:
        level = found["level"]
        return f"{found['promise']} {seconds[level]} |" if level in seconds else found[0]

    return ROW.sub(row, contributing)


def closing(outcomes: Sequence[Outcome], allowed: Mapping[str, int]) -> Iterator[str]:
    """Write the last lines of a run: the seconds of each level, a warning for each that is over its budget, a verdict.

    Args:
        outcomes: In the order in which they are listed.
        allowed: Budgets in seconds by level; a level without one is never over it.
    """
    for outcome in outcomes:
        budget = f"of {allowed[outcome.level]:5}" if outcome.level in allowed else " " * 8
        yield f"{outcome.level:12} {outcome.seconds:6.0f} {budget} s{'' if outcome.passed else '  FAILED'}"
    for outcome in outcomes:
        if outcome.seconds > allowed.get(outcome.level, outcome.seconds):
            yield f"warning: {outcome.level} is over its budget: see the table in CONTRIBUTING.md"
    failed = [outcome.level for outcome in outcomes if not outcome.passed]
    yield f"failed: {' '.join(failed)}" if failed else "every level passed"
