"""What the status says of objects that are not as the reconciler wants them: refused, or rewritten by others. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.plan.repairs import refused, rewritten, uncopied
from shared import names
from shared.objects.resources import ENDPOINT_SLICES, SECRETS, SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.plan.repairs import Repair
    from reconciler.plan.secrets import Publication
    from reconciler.plan.verdict import Verdict
    from reconciler.state.storage_state import StorageState


def troubled(state: StorageState, verdict: Verdict, publication: Publication, repairs: Iterable[Repair]) -> Verdict:
    """Add what the API server refuses, and what others make of the storage's objects."""
    connection = (publication.connection,) if publication.connection is not None else ()
    own = (*connection, *repairs)
    refusal = refused(own)
    told = (refusal, rewritten((*own, *publication.copies)), uncopied(publication.copies))
    verdict = replace(verdict, also=(*verdict.also, *(finding for finding in told if finding is not None)))
    if refusal is None:
        return verdict
    lacking = {(each.target.plural, each.target.name) for each in own if each.refusal and each.is_missing}
    return verdict.refused(refusal, is_vital=bool(lacking & _vital(state.storage.name)))


def _vital(storage: str) -> frozenset[tuple[str, str]]:
    """Name the objects without which consumers cannot use a storage."""
    return frozenset(
        {
            (SERVICES.plural, names.valkey(storage)),
            (ENDPOINT_SLICES.plural, names.valkey(storage)),
            (SECRETS.plural, names.auth_secret(storage)),
            (SECRETS.plural, names.connection_secret(storage)),
        }
    )
