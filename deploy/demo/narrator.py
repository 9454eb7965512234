"""Tells the story at the terminal: what each step does and sees, how long it takes, and why it fails."""

from __future__ import annotations

import textwrap
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH: Final = 116


class StepFailed(DemoError):
    """A step of the story failed; the message names it."""


class Narrator:
    """Numbers the steps and prints them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._number = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Tell one step.

        Raises:
            StepFailed: The step raised a DemoError.
        """
        self._number += 1
        self._say(f"\n{self._number}. {title}")
        begun = time.monotonic()
        try:
            yield
        except DemoError as error:
            raise StepFailed(f"step {self._number} failed: {title}\n{textwrap.indent(str(error), '   ')}") from error
        self._say(f"   took {time.monotonic() - begun:.1f} s")

    def did(self, what: str) -> None:
        """Say what was done."""
        self._lines("   - ", what)

    def saw(self, what: str) -> None:
        """Say what was seen."""
        self._lines("   > ", what)

    def remark(self, text: str) -> None:
        """Say something that belongs to no step."""
        self._say(f"\n{text}")

    def _lines(self, mark: str, text: str) -> None:
        for line in text.splitlines():
            self._say(textwrap.fill(line, WIDTH, initial_indent=mark, subsequent_indent="     "))
