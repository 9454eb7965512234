"""What the status says of a storage that somebody has deleted, and that Kubernetes still keeps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.plan.health import READY
from shared.objects.conditions import Finding, conditions
from shared.objects.events import EventNote
from shared.session_storage.status import Condition, Phase

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.state.session_storage import DeclaredStorage
    from shared.objects.resources import Object

_DELETED: Final = Finding(
    READY,
    "False",
    "Terminating",
    "somebody has deleted this storage: it is gone once Kubernetes has deleted its objects, and no finalizer is left"
    " on it",
)


def status_of_deleted(storage: DeclaredStorage, now: datetime) -> tuple[Object | None, tuple[EventNote, ...]]:
    """Tell that a storage is going, in the last status, which otherwise stays; (None, ()) if that says so already.

    What the other conditions say goes on to decide how consumers are connected, as long as they refer to the storage.
    """
    old = storage.status
    (made,) = conditions([_DELETED], [item.to_object() for item in old.conditions], storage.generation, now)
    others = [item for item in old.conditions if item.type != READY]
    told = {
        "phase": Phase.TERMINATING,
        "reason": _DELETED.reason,
        "message": _DELETED.message,
        "observed_generation": storage.generation,
        "conditions": [Condition.model_validate(made), *others],
    }
    new = old.model_copy(update=told)
    if new == old:
        return None, ()
    return new.to_object(), (EventNote("Normal", _DELETED.reason, _DELETED.message),)
