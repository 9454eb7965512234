"""Logging as JSON lines on standard error: a constant message and key/value fields, ready for any collector.

No line holds a password, its hash or a session's id. Our own lines and errors have none; what others wrote goes through
`shared.disclosure` first.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.disclosure import text_of, without_secrets
from shared.process import log_scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
OURS: Final = ("webhook", "reconciler", "certs", "shared")
"""Our packages, by which their loggers are called."""
MAX_CHAIN: Final = 8
"""So many errors that led to another one are told; a chain may be a ring."""


class JsonFormatter(logging.Formatter):
    """One log record as one JSON object."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Write the record; each field of its scope and each entry of `extra` becomes a field."""
        message = record.getMessage()
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": message if _is_ours(record) else without_secrets(message),
            **log_scope.current().fields,
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry["traceback"] = "\n".join(_told(record.exc_info[1]))
        return _written(entry)


class _Threshold(logging.Filter):
    """Lets a line through if the process, or the work that it is about, logs so much."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= min(self._level, log_scope.current().level)


def configure(process: str, level: str = "INFO") -> None:
    """Send every log line of this process to standard error.

    Others' lines below INFO are never sent: there libraries write down what they send and receive, Secrets too.

    Args:
        process: Which process this is.
        level: The least level of its lines, as Python names it; a scope may lower it for what it is about.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process))
    handler.addFilter(_Threshold(least))
    logging.basicConfig(level=max(least, logging.INFO), handlers=[handler], force=True)
    for package in OURS:
        logging.getLogger(package).setLevel(logging.DEBUG)  # the handler decides


def _written(entry: Mapping[str, Any]) -> str:
    """Write fields as JSON; what JSON does not know, as it shows itself: that hides what must not be shown."""
    try:
        return orjson.dumps(entry, default=str, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()
    except orjson.JSONEncodeError:
        # Half a character, for instance. An error here would make `logging` write everything down as it came.
        return orjson.dumps({name: ascii(value) for name, value in entry.items()}).decode()


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in OURS


def _told(error: BaseException) -> Iterator[str]:
    """Write down an error and what led to it, the first cause first, as Python does, but without what may be secret."""
    chain = [error]
    while (cause := _cause_of(chain[-1])) is not None and len(chain) < MAX_CHAIN:
        chain.append(cause)
    for each in reversed(chain):
        yield "Traceback (most recent call last):"
        yield from (line.rstrip("\n") for line in traceback.format_tb(each.__traceback__))
        yield f"{type(each).__qualname__}: {text_of(each)}"
        if isinstance(each, BaseExceptionGroup):
            for one in each.exceptions:
                yield from _told(one)


def _cause_of(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)
