"""Whether a storage is what its spec asks for, in the two conditions by which tools tell that. Pure.

kstatus is the library by which Flux, Helm 4 and kpt wait for objects of any kind. It calls an object in progress whose
newest generation nobody has observed, or that has `Reconciling`; failed, if it has `Stalled`; else current, unless
`Ready` is false. Both conditions are there only while they are true, so that a storage at rest has none. Source:
kstatus, "Conditions" (sigs.k8s.io/cli-utils/pkg/kstatus).

A tool gives up at once on an object that has stalled. So a storage stalls only if nothing but a person's act can change
something; a node that is full, an image that cannot be pulled or a store that does not answer may come right without. A
rotation of passwords is no progress towards the spec: the storage is what the spec asks for all the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.plan.change import UPDATING
from reconciler.plan.external_storage import HANDED_ON
from reconciler.plan.health import SIZE_APPLIED
from reconciler.plan.hindrance import REDUNDANT
from reconciler.plan.verdict import Verdict
from shared.objects.conditions import Finding

if TYPE_CHECKING:
    from reconciler.plan.verdict import Verdict

RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
_UNFINISHED: Final = {UPDATING: "True", SIZE_APPLIED: "False", REDUNDANT: "False", HANDED_ON: "False"}
"""Conditions of a ready storage, and the status by which each says that the spec is not in effect yet."""


def progress(verdict: Verdict) -> Finding | None:
    """Tell what is left to do, and whether that waits for a person; None if all that the spec asks for is there."""
    if (left := _left(verdict)) is None:
        return None
    return Finding(STALLED if verdict.needs_person else RECONCILING, "True", *left)


def _left(verdict: Verdict) -> tuple[str, str] | None:
    """Say what is left to do, as one CamelCase word and as a sentence."""
    if not verdict.is_ready:
        return verdict.reason, verdict.message
    if verdict.hindrance is not None:
        return verdict.hindrance.reason, verdict.hindrance.message
    unfinished = (each for each in verdict.also if _UNFINISHED.get(each.type) == each.status)
    return next(((each.reason, each.message) for each in unfinished), None)
