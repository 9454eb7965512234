"""How long certificates live, and when each is due to be replaced. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Figures of the installation; each default says what it leaves room for.

    Attributes:
        authority: Life of an authority. Replaced at two thirds, it leaves four months for what may hold that up.
        serving: Life of a leaf. Ten days are left in which a broken renewal can be noticed and mended.
        back_dating: How far the clocks of API servers may lag behind ours without refusing a new certificate.
        renew_at: Part of its life after which a certificate is replaced.
        dwell: How long a new bundle, or a new leaf on every pod, must have been seen before the next step relies on it:
            API servers learn of a new bundle by watches of their own, and a broken watch is noticed within a minute.
    """

    authority: timedelta = timedelta(days=365)
    serving: timedelta = timedelta(days=30)
    back_dating: timedelta = timedelta(hours=1)
    renew_at: Fraction = Fraction(2, 3)
    dwell: timedelta = timedelta(seconds=60)

    @property
    def left_at_renewal(self) -> timedelta:
        """How long an authority still lives when it is due."""
        return self.authority - self.authority * self.renew_at.numerator / self.renew_at.denominator

    def due(self, certificate: x509.Certificate) -> datetime:
        """Tell from which instant on a certificate is to be replaced.

        Life counts from when it was issued: of an hour's life that starts an hour ago, nothing is over yet.
        """
        end = certificate.not_valid_after_utc
        issued = min(certificate.not_valid_before_utc + self.back_dating, end)
        return issued + (end - issued) * self.renew_at.numerator / self.renew_at.denominator


DEFAULT = Lifetimes()
