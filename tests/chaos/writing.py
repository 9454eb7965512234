"""Runs the writer in a pod, and reads its verdict."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import DemoError
from deploy.demo.kube import until
from tests.chaos.programs import Program
from tests.chaos.verdicts import acknowledged, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.stand import Stand
    from tests.chaos.verdicts import Verdict

MODULE: Final = "tests.chaos.writer"
STEADY_WRITES: Final = 500
"""Writes of about a second and a half."""
STEADY_SECONDS: Final = 120
PRIMARY_ROLE: Final = "master"
"""The primary's role, as `INFO` names it."""


class NoVerdict(DemoError):
    """A program ended without a verdict that counts."""


@dataclass(frozen=True)
class Writing:
    """A running writer."""

    program: Program

    def await_steady(self) -> None:
        """Wait until `STEADY_WRITES` more writes are acknowledged."""
        before = self.acknowledged()
        until("writes are acknowledged", lambda: self.acknowledged() > before + STEADY_WRITES, STEADY_SECONDS)

    def acknowledged(self) -> int:
        """Read the number of acknowledged writes so far."""
        return acknowledged(self.program.output("--tail=1"))

    def end(self, struck: float) -> Verdict:
        """End it, and return its verdict on the fault that struck at this time.

        Raises:
            NoVerdict: It ended without one, or it did not ask a primary.
        """
        found = verdict(lines := self.program.end(), struck)
        if found is None:
            raise NoVerdict(f"the writer ended without a verdict: {lines[-1:]}")
        if found.role != PRIMARY_ROLE:
            raise NoVerdict(f"the Service led to an instance whose role is {found.role}")
        return found


@contextmanager
def writing(stand: Stand) -> Iterator[Writing]:
    """Run a writer on another node than the primary's until the block ends."""
    writer = Writing(Program(stand, MODULE, {"KEY_PREFIX": "w:"}))
    try:
        writer.program.start()
        writer.await_steady()
        yield writer
    finally:
        writer.program.remove()
