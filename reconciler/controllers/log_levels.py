"""How much the reconciler logs of each storage: what its annotation asks for, while that lasts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from reconciler.state.log_level import FORM, LogLevelRequest
from shared import names
from shared.objects.resources import annotation_of, key_of
from shared.objects.timestamps import written

if TYPE_CHECKING:
    from datetime import datetime

    from shared.objects.resources import Key, Object

_log = logging.getLogger(__name__)


class LogLevels:
    """Reads the annotation of each storage, and says in the log when one begins to count, or cannot be read."""

    def __init__(self) -> None:
        self._told: dict[Key, tuple[str, bool]] = {}

    def level_of(self, storage: Object, now: datetime) -> str:
        """Return the least level of lines about a storage, as Python names it; empty for that of the process."""
        text = annotation_of(storage, names.ANNOTATION_LOG_LEVEL)
        request = LogLevelRequest.of(text)
        counts = request is not None and request.counts_at(now)
        key = key_of(storage)
        if self._told.get(key, ("", False)) != (text, counts):
            self._told[key] = text, counts
            _tell(text, request, counts=counts)
        return request.level if request is not None and counts else ""

    def forget(self, storage: Key) -> None:
        """Drop what is remembered of a storage that is gone."""
        self._told.pop(storage, None)


def _tell(text: str, request: LogLevelRequest | None, *, counts: bool) -> None:
    # The value is not repeated: nobody knows what somebody may put there by mistake.
    if request is None:
        if text:
            _log.warning("the annotation for the log level cannot be read", extra={"form": FORM})
        return
    extra = {"log_level": request.level.lower(), "until": written(request.until)}
    if counts:
        _log.info("logging more of a storage", extra=extra)
    else:
        _log.info("the annotation for the log level does not count now", extra=extra)
