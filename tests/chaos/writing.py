"""Runs the writers in pods, and reads their verdicts."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import DemoError
from deploy.demo.kube import until
from deploy.local import images
from tests.chaos.programs import Program
from tests.chaos.verdicts import acknowledged, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.chaos.stand import Stand
    from tests.chaos.verdicts import Verdict

MODULE: Final = "tests.chaos.writer"
GO_COMMAND: Final = ("/usr/bin/chaos-writer",)
STEADY_WRITES: Final = 500
"""Writes of about a second and a half."""
STEADY_SECONDS: Final = 120
PRIMARY_ROLE: Final = "master"
"""The primary's role, as `INFO` names it."""


class NoVerdict(DemoError):
    """A program ended without a verdict that counts."""


class Client(StrEnum):
    """A client that writes.

    Attributes:
        GO_REDIS: go-redis with the options of ToolHive's proxies; the targets are about what it sees.
        IMPATIENT: A client that waits less than a second for anything, and connects anew at once.
    """

    GO_REDIS = "go-redis"
    IMPATIENT = "impatient"

    def program(self, stand: Stand) -> Program:
        """Describe its pod; each client has keys of its own."""
        environment = {"KEY_PREFIX": f"{self}:"}
        if self is Client.IMPATIENT:
            return Program.python(stand, MODULE, environment)
        return Program(stand, self.value, images.CHAOS_WRITER, GO_COMMAND, environment)


@dataclass(frozen=True)
class Writer:
    """A running writer."""

    program: Program

    def acknowledged(self) -> int:
        """Read the number of acknowledged writes so far."""
        return acknowledged(self.program.output("--tail=1"))

    def await_beyond(self, count: int) -> None:
        """Wait until more than this number of writes are acknowledged."""
        what = f"writes of {self.program.name} are acknowledged"
        until(what, lambda: self.acknowledged() > count, STEADY_SECONDS)

    def end(self, struck: float) -> Verdict:
        """End it, and return its verdict on the fault that struck at this time.

        Raises:
            NoVerdict: It ended without one, or it did not ask a primary.
        """
        found = verdict(lines := self.program.end(), struck)
        if found is None:
            raise NoVerdict(f"{self.program.name} ended without a verdict: {lines[-1:]}")
        if found.role != PRIMARY_ROLE:
            raise NoVerdict(f"the Service led {self.program.name} to an instance whose role is {found.role}")
        return found


@dataclass(frozen=True)
class Writing:
    """The writers of one run."""

    writers: Mapping[Client, Writer]

    def await_steady(self) -> None:
        """Wait until `STEADY_WRITES` more writes of every writer are acknowledged."""
        wanted = [(writer, writer.acknowledged() + STEADY_WRITES) for writer in self.writers.values()]
        for writer, count in wanted:
            writer.await_beyond(count)

    def addresses(self) -> list[str]:
        """Read the addresses of the writers' pods."""
        return [writer.program.address() for writer in self.writers.values()]

    def end(self, struck: float) -> dict[Client, Verdict]:
        """End all writers, and return their verdicts on the fault that struck at this time.

        Raises:
            NoVerdict: One of them ended without a verdict that counts.
        """
        return {client: writer.end(struck) for client, writer in self.writers.items()}


@contextmanager
def writing(stand: Stand, *clients: Client) -> Iterator[Writing]:
    """Run writers on another node than the primary's until the block ends."""
    found = Writing({client: Writer(client.program(stand)) for client in clients})
    with ExitStack() as pods:
        for writer in found.writers.values():
            pods.callback(writer.program.remove)
            writer.program.start()
        found.await_steady()
        yield found
