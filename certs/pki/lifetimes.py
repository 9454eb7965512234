"""How long certificates live, and when to renew each. Pure."""

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
    """How long certificates live in an installation, with the reason of each default.

    Attributes:
        authority: Life of an authority. Renewal at two thirds leaves four months for whatever may hold it up.
        serving: Life of a leaf. Renewal at two thirds leaves ten days in which people can notice and mend a broken one.
        back_dating: How far the clocks of API servers may lag behind ours without refusing a new certificate.
        renew_at: Fraction of a certificate's life after which it is due for renewal.
        dwell: For how long every configuration must hold a new bundle, or every pod serve a new leaf, before the next
            step relies on it: API servers learn of a bundle by watches, and notice a broken watch within a minute.
    """

    authority: timedelta = timedelta(days=365)
    serving: timedelta = timedelta(days=30)
    back_dating: timedelta = timedelta(hours=1)
    renew_at: Fraction = Fraction(2, 3)
    dwell: timedelta = timedelta(seconds=60)

    @property
    def left_at_renewal(self) -> timedelta:
        """How long an authority is still valid when its renewal is due."""
        return self.authority - self.authority * self.renew_at.numerator / self.renew_at.denominator

    def due(self, certificate: x509.Certificate) -> datetime:
        """Tell the instant from which on a certificate is due for renewal.

        Its life counts from its issue, not from the back-dated start of its validity.
        """
        end = certificate.not_valid_after_utc
        issued = min(certificate.not_valid_before_utc + self.back_dating, end)
        return issued + (end - issued) * self.renew_at.numerator / self.renew_at.denominator


DEFAULT = Lifetimes()
