"""Reads what a process would write into its log."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from typing import TYPE_CHECKING, Any

from shared.process import json_log

if TYPE_CHECKING:
    from collections.abc import Iterator


class Log:
    """The lines that were written so far."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def with_message(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"] == message]


@contextlib.contextmanager
def logged(level: str = "INFO", process: str = "reconciler") -> Iterator[Log]:
    """Have this process log as the product's do while the block runs."""
    log, root = Log(), logging.getLogger()
    own = [logging.getLogger(package) for package in json_log.OURS]
    handlers, levels = root.handlers[:], [each.level for each in (root, *own)]
    root.handlers = []
    try:
        with contextlib.redirect_stderr(log.stream):
            json_log.configure(process, level)
        yield log
    finally:
        root.handlers = handlers
        for logger, before in zip((root, *own), levels, strict=True):
            logger.setLevel(before)
