"""What to tell people about the certificates: one sentence for each step, fit for an Event and a log. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.rotation.actions import Phase
from shared.objects.events import EventNote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from certs.pki.pem import Pair
    from certs.pki.validation import Problem


def authority_made(pair: Pair, reasons: Sequence[Problem], *, is_successor: bool) -> EventNote:
    """Tell of a new authority."""
    why = "; ".join(reasons)
    if is_successor:
        note = f"A successor of the certificate authority, valid until {_end(pair)}, is being made known: {why}."
        return EventNote("Normal", Phase.TRUST_NEXT.value, note)
    note = f"A certificate authority was made, valid until {_end(pair)}; of the one before: {why}."
    return EventNote("Normal", Phase.BOOTSTRAP.value, note)


def phase_begun(phase: Phase) -> EventNote:
    """Tell of a step that makes nothing new."""
    notes = {
        Phase.SWITCH: "Another certificate authority signs from now on; its predecessor is still trusted.",
        Phase.STABLE: "Every ready webhook pod was seen to serve the new certificate; the old authority goes.",
    }
    reason = {Phase.SWITCH: Phase.SWITCH, Phase.STABLE: Phase.RETIRE}[phase]
    return EventNote("Normal", reason.value, notes[phase])


def leaf_made(pair: Pair, reasons: Sequence[Problem]) -> EventNote:
    """Tell of a new serving certificate."""
    return EventNote(
        "Normal",
        "CertificateIssued",
        f"A serving certificate was made, valid until {_end(pair)}: {'; '.join(reasons)}.",
    )


def bundle_repaired(configuration: str) -> EventNote:
    """Tell of a `caBundle` that somebody else has written."""
    return EventNote("Warning", "BundleRepaired", f"Somebody had changed caBundle of {configuration}; it is restored.")


def held_up(pods: Sequence[str]) -> EventNote:
    """Tell of pods that a rotation waits for."""
    note = f"The old authority stays trusted: not seen to serve the new certificate: {', '.join(pods)}."
    return EventNote("Warning", "RotationHeldUp", note)


def _end(pair: Pair) -> str:
    end: datetime = pair.certificate.not_valid_after_utc
    return end.isoformat()
