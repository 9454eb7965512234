"""The writer: on which node it is, what it has seen."""

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
"""About a second and a half."""
STEADY_SECONDS: Final = 120
PRIMARY_ROLE: Final = "master"
"""As `INFO` calls it."""


class NoVerdict(DemoError):
    """A program ended without one that counts."""


@dataclass(frozen=True)
class Writing:
    """A writer at work."""

    program: Program

    def await_steady(self) -> None:
        """Wait until a good number of writes was acknowledged from now on."""
        before = self.acknowledged()
        until("writes are acknowledged", lambda: self.acknowledged() > before + STEADY_WRITES, STEADY_SECONDS)

    def acknowledged(self) -> int:
        """Tell how many writes were acknowledged."""
        return acknowledged(self.program.said("--tail=1"))

    def end(self, struck: float) -> Verdict:
        """Have it come to a verdict about the fault that struck at this time.

        Raises:
            NoVerdict: It could not.
        """
        found = verdict(lines := self.program.end(), struck)
        if found is None:
            raise NoVerdict(f"the writer ended without a verdict: {lines[-1:]}")
        if found.role != PRIMARY_ROLE:
            raise NoVerdict(f"the Service led to a {found.role}")
        return found


@contextmanager
def writing(stand: Stand) -> Iterator[Writing]:
    """Have a pod write all the while, on another node than the primary's."""
    writer = Writing(Program(stand, MODULE, {"KEY_PREFIX": "w:"}))
    try:
        writer.program.start()
        writer.await_steady()
        yield writer
    finally:
        writer.program.remove()
