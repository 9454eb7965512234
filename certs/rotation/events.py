"""The Event of each step of a rotation, in one sentence that the log repeats. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.rotation.actions import Phase
from shared.objects.events import EventNote
from shared.objects.timestamps import written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from certs.pki.pem import Pair
    from certs.pki.validation import Problem


def authority_issued(pair: Pair, reasons: Sequence[Problem], *, is_successor: bool) -> EventNote:
    """Report a new certificate authority."""
    phase, use = Phase.BOOTSTRAP, "and put to use at once"
    if is_successor:
        phase, use = Phase.TRUST_NEXT, "and added to caBundle; the old one signs until API servers trust both"
    note = f"New CA created {use}. It is valid until {_end(pair)}. Reason: {'; '.join(reasons)}."
    return EventNote("Normal", phase.value, note)


def phase_started(phase: Phase) -> EventNote:
    """Report a step that creates no certificate."""
    notes = {
        Phase.SWITCH: "The new CA signs from now on; API servers still trust the old one.",
        Phase.STABLE: "Every ready webhook pod serves the new certificate; the old CA leaves caBundle.",
    }
    reason = {Phase.SWITCH: Phase.SWITCH, Phase.STABLE: Phase.RETIRE}[phase]
    return EventNote("Normal", reason.value, notes[phase])


def leaf_issued(pair: Pair, reasons: Sequence[Problem]) -> EventNote:
    """Report a new serving certificate."""
    note = f"New serving certificate issued. It is valid until {_end(pair)}. Reason: {'; '.join(reasons)}."
    return EventNote("Normal", "CertificateIssued", note)


def bundle_restored(configuration: str) -> EventNote:
    """Report that somebody else had written a `caBundle`."""
    note = f"Somebody changed caBundle of {configuration}; the reconciler restored it."
    return EventNote("Warning", "BundleRepaired", note)


def rotation_held_up(pods: Sequence[str]) -> EventNote:
    """Report the pods that a rotation waits for."""
    note = f"The old CA stays in caBundle, because these pods do not serve the new certificate yet: {', '.join(pods)}."
    return EventNote("Warning", "RotationHeldUp", note)


def _end(pair: Pair) -> str:
    return written(pair.certificate.not_valid_after_utc)
