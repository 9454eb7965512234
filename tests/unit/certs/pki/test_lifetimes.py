"""A certificate is due for renewal after the configured part of its life, counted from its issue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from certs.pki import issue, validation
from certs.pki.lifetimes import DEFAULT, Lifetimes

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = validation.dns_names("release-webhook", "session-storage-system")


def test_by_default_a_leaf_is_due_after_twenty_days_and_an_authority_after_eight_months() -> None:
    authority = issue.issue_authority(NOW)
    leaf = issue.issue_serving(authority, NAMES, NOW)
    assert DEFAULT.due(leaf.certificate) == NOW + timedelta(days=20)
    assert DEFAULT.due(authority.certificate) == NOW + timedelta(days=365) * 2 / 3


@pytest.mark.parametrize("back_dating", [timedelta(), timedelta(hours=1)])
def test_back_dating_does_not_shorten_a_life_of_seconds(back_dating: timedelta) -> None:
    lifetimes = Lifetimes(serving=timedelta(seconds=8), back_dating=back_dating, renew_at=Fraction(1, 4))
    leaf = issue.issue_serving(issue.issue_authority(NOW), NAMES, NOW, lifetimes)
    assert lifetimes.due(leaf.certificate) == NOW + timedelta(seconds=2)


def test_a_foreign_certificate_that_is_not_back_dated_is_due_before_it_ends() -> None:
    leaf = issue.issue_serving(issue.issue_authority(NOW), NAMES, NOW, Lifetimes(back_dating=timedelta()))
    assert NOW < DEFAULT.due(leaf.certificate) < leaf.certificate.not_valid_after_utc
