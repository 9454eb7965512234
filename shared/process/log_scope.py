"""What all log lines of one piece of work have in common: its id, what it is about, and how much of it is logged."""

from __future__ import annotations

import contextlib
import logging
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECONCILE_ID: Final = "reconcile_id"
"""Field that all lines of one reconcile share. It names the reconcile in the log alone; no object has it."""


@dataclass(frozen=True, slots=True)
class LogScope:
    """One piece of work.

    Attributes:
        fields: What every line of it says besides its own fields.
        level: The least level of its lines, if the process logs less by itself; as Python's `logging` numbers levels.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    level: int = logging.CRITICAL


_current: ContextVar[LogScope] = ContextVar("log scope", default=LogScope())  # noqa: B039 - frozen


def current() -> LogScope:
    """Return the scope of the work that this task does."""
    return _current.get()


@contextlib.contextmanager
def logged_with(fields: Mapping[str, str], level: str = "") -> Iterator[None]:
    """Give fields to all lines that this task logs while the block lasts, besides those of a block around it.

    Args:
        fields: The fields.
        level: The least level of these lines, as Python names it, if that is less than around; empty changes nothing.
    """
    outer = _current.get()
    least = logging.getLevelNamesMapping()[level] if level else logging.CRITICAL
    before = _current.set(LogScope({**outer.fields, **fields}, min(outer.level, least)))
    try:
        yield
    finally:
        _current.reset(before)


def leave() -> None:
    """Leave the scope in which somebody started this task: the task goes on when that work is long over."""
    _current.set(LogScope())


def reconcile_id() -> str:
    """Make up the name of a reconcile."""
    return uuid.uuid4().hex[:12]
