"""Writes the text of docs/drills.md. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

INTRODUCTION = """\
# Drills

Some promises take long to try: a hundred rotations, a minute without an API server, kills at every point, ten minutes
without a write, alerts that fire and go, half an hour in which none fires. `make drills` tries them on real processes
and on the local cluster, brings up the awkward cluster for those that are about it, takes that down, and writes this
page. `make test` runs each of them in a short form: the same test with smaller numbers.
"""


@dataclass(frozen=True)
class Drill:
    """The outcome of a drill.

    Attributes:
        test: pytest's node ID: the file, the function and its parameters.
        seconds: Duration of the drill.
        passed: Whether it passed.
        figures: What it measured.
    """

    test: str
    seconds: float
    passed: bool
    figures: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The promise that the drill tries, made from its function's name."""
        name, _, numbers = self.test.rpartition("::")[2].removeprefix("test_").partition("[")
        said = name.replace("_", " ")
        return f"{said[:1].upper()}{said[1:]}" + (f" ({numbers.rstrip(']')})" if numbers else "")


def tally(drills: Sequence[Drill]) -> str:
    """Sum up all drills in one line."""
    passed = sum(drill.passed for drill in drills)
    return f"{passed} of {len(drills)} drills passed, in {sum(drill.seconds for drill in drills):.0f} s"


def page(drills: Sequence[Drill], day: date, processors: int) -> str:
    """Write docs/drills.md."""
    return f"""{INTRODUCTION}
Last run: {day:%d %B %Y}, on {processors} processors: {tally(drills)}.

| drill | what was seen | seconds |
|---|---|---|
{"".join(map(_row, drills))}"""


def _row(drill: Drill) -> str:
    seen = "; ".join(drill.figures).replace("|", "\\|")
    return f"| {drill.sentence} | {seen if drill.passed else f'**failed** {seen}'.strip()} | {drill.seconds:.0f} |\n"
