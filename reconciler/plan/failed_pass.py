"""What the status says of a storage whose pass failed, so that nobody has to find it in a log. Pure."""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from shared import errors
from shared.disclosure import text_of
from shared.objects.conditions import Finding, conditions
from shared.objects.events import EventNote
from shared.session_storage.status import Condition

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from reconciler.state.session_storage import DeclaredStorage
    from shared.objects.resources import Object

RECONCILED: Final = "Reconciled"
UNEXPECTED: Final = "UnexpectedError"
MAX_QUOTED: Final = 512
"""How many characters of an error's text a message repeats."""


def finding_of(error: Exception, secrets: Iterable[str]) -> Finding:
    """Tell why a pass failed.

    The errors of this project hold no password. The text of any other one may quote what it stumbled over.

    Args:
        error: What ended the pass.
        secrets: Passwords that the message must not repeat.
    """
    text = text_of(error, secrets)
    if isinstance(error, errors.SessionStorageError):
        reason, what = type(error).__name__, text
    else:
        reason, what = UNEXPECTED, f"{type(error).__name__} in {_place_of(error)}: {text}"
    message = f"the reconciler could not finish its last passes over this storage, and tries again: {what[:MAX_QUOTED]}"
    return Finding(RECONCILED, "False", reason, message)


def status_after(
    storage: DeclaredStorage, finding: Finding, now: datetime
) -> tuple[Object | None, tuple[EventNote, ...]]:
    """Add the finding to the last status, which otherwise stays; (None, ()) if it is there already."""
    old = storage.status
    existing = [item.to_object() for item in old.conditions]
    (added,) = conditions([finding], existing, storage.generation, now)
    condition = Condition.model_validate(added)
    if condition in old.conditions:
        return None, ()
    kept = [item for item in old.conditions if item.type != finding.type]
    status = old.model_copy(update={"conditions": [*kept, condition]})
    return status.to_object(), (EventNote("Warning", finding.reason, finding.message),)


def _place_of(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
