"""Whose right to use a storage counts."""

from __future__ import annotations

import pytest

from shared.consumers.access import TrustedAccounts, parse_account

ARGO = "system:serviceaccount:argocd:argocd-application-controller"


@pytest.mark.parametrize(
    ("username", "is_judged"),
    [
        ("ann", True),
        ("system:admin", True),
        (None, True),
        (ARGO, False),
        ("system:serviceaccount:flux:kustomize-controller", True),
        ("system:serviceaccount:flux-of-mallory:kustomize-controller", False),
        ("system:serviceaccount:team:deployer", True),
        ("system:serviceaccount:team:deployer-2", False),
        ("system:serviceaccount:mallory:x:deployer", False),
    ],
)
def test_a_person_counts_and_a_service_account_only_if_it_is_named(username: object, *, is_judged: bool) -> None:
    trusted = TrustedAccounts.of("system:serviceaccount:flux:*", "system:serviceaccount:*:deployer")
    assert trusted.is_judged(username) is is_judged


def test_no_service_account_counts_by_default() -> None:
    assert not TrustedAccounts().is_judged(ARGO)


@pytest.mark.parametrize("text", ["ann", "system:serviceaccount:argocd", "system:serviceaccount:a:b:c", "*"])
def test_only_user_names_of_service_accounts_can_be_named(text: str) -> None:
    assert parse_account(text) is None
    assert parse_account(ARGO) == ARGO
