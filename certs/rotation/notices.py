"""What to tell people about the certificates: one sentence for each step, fit for an Event and a log. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from certs.actions import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from certs.check import Problem
    from certs.pem import Pair


@dataclass(frozen=True, slots=True)
class Notice:
    """One step.

    Attributes:
        type: `Warning` if somebody should look.
        reason: One CamelCase word.
        note: A sentence.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


def authority_made(pair: Pair, reasons: Sequence[Problem], *, is_successor: bool) -> Notice:
    """Tell of a new authority."""
    why = "; ".join(reasons)
    if is_successor:
        note = f"A successor of the certificate authority, valid until {_end(pair)}, is being made known: {why}."
        return Notice("Normal", Phase.TRUST_NEXT.value, note)
    note = f"A certificate authority was made, valid until {_end(pair)}; of the one before: {why}."
    return Notice("Normal", Phase.BOOTSTRAP.value, note)


def phase_begun(phase: Phase) -> Notice:
    """Tell of a step that makes nothing new."""
    notes = {
        Phase.SWITCH: "Another certificate authority signs from now on; its predecessor is still trusted.",
        Phase.STABLE: "Every ready webhook pod was seen to serve the new certificate; the old authority goes.",
    }
    reason = {Phase.SWITCH: Phase.SWITCH, Phase.STABLE: Phase.RETIRE}[phase]
    return Notice("Normal", reason.value, notes[phase])


def leaf_made(pair: Pair, reasons: Sequence[Problem]) -> Notice:
    """Tell of a new serving certificate."""
    return Notice(
        "Normal",
        "CertificateIssued",
        f"A serving certificate was made, valid until {_end(pair)}: {'; '.join(reasons)}.",
    )


def bundle_repaired(configuration: str) -> Notice:
    """Tell of a `caBundle` that somebody else has written."""
    return Notice("Warning", "BundleRepaired", f"Somebody had changed caBundle of {configuration}; it is restored.")


def held_up(pods: Sequence[str]) -> Notice:
    """Tell of pods that a rotation waits for."""
    note = f"The old authority stays trusted: not seen to serve the new certificate: {', '.join(pods)}."
    return Notice("Warning", "RotationHeldUp", note)


def _end(pair: Pair) -> str:
    end: datetime = pair.certificate.not_valid_after_utc
    return end.isoformat()
