"""Passwords and the rights of each identity; tests/integration/test_acl.py checks them on a real Valkey."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply import passwords
from reconciler.credentials import identities
from reconciler.credentials.identities import CONSUMER, IDENTITIES, PASSWORD_KEYS

PASSWORDS = {key: passwords.generate() for key in PASSWORD_KEYS}
ACL = identities.users_acl(PASSWORDS)


def test_passwords_have_32_letters_and_digits_and_are_never_the_same() -> None:
    made = [passwords.generate() for _ in range(200)]
    assert all(re.fullmatch("[A-Za-z0-9]{32}", password) for password in made)
    assert len(set(made)) == 200
    assert len(set("".join(made))) == 62


def test_every_identity_has_a_password_of_its_own() -> None:
    assert len(set(PASSWORD_KEYS)) == len({identity.user for identity in IDENTITIES}) == len(IDENTITIES) == 6


def test_consumers_are_the_default_user_with_the_contracts_key() -> None:
    assert (CONSUMER.user, CONSUMER.key) == ("default", "password")


def test_the_acl_file_holds_hashes_and_no_password() -> None:
    for identity, line in zip(IDENTITIES, ACL.splitlines(), strict=True):
        digest = hashlib.sha256(PASSWORDS[identity.key].encode()).hexdigest()
        assert line == f"user {identity.user} on #{digest} {identity.rule}"
    assert not [key for key, password in PASSWORDS.items() if password in ACL]
    assert ACL.endswith("\n")


def test_no_identity_is_without_a_password_or_has_all_rights() -> None:
    for identity in IDENTITIES:
        words = identity.rule.split()
        assert not {"nopass", "+@all", "allcommands", "allkeys", "allchannels", "&*", "+@dangerous"} & set(words)
        assert words.index("-@all") < min(index for index, word in enumerate(words) if word.startswith("+"))
        assert "resetchannels" in words


def test_only_consumers_reach_keys() -> None:
    assert [identity.user for identity in IDENTITIES if "~*" in identity.rule.split()] == ["default"]


def test_the_rules_can_be_compared_without_any_password() -> None:
    assert identities.rules() == "\n".join(f"{identity.user} {identity.rule}" for identity in IDENTITIES)


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_a_secret_reads_as_it_was_written(values: dict[str, str]) -> None:
    assert identities.decoded(identities.encoded(values)) == values


@given(st.dictionaries(st.text(), st.text()))
def test_any_content_of_a_secret_can_be_read(data: dict[str, str]) -> None:
    assert identities.decoded(data).keys() <= data.keys()


def test_values_that_cannot_be_read_are_left_out() -> None:
    data = {"bad": "%%%", "binary": base64.b64encode(b"\xff\xfe").decode(), "umlaut": "ä", "good": "eA=="}
    assert identities.decoded(data) == {"good": "x"}
    assert identities.decoded(None) == {}


@pytest.mark.parametrize("value", ["", "x" * 31, "x" * 31 + " ", "x" * 31 + "\n", "ä" * 32, "x" * 40 + ":", "x@" * 20])
def test_a_value_that_needs_escaping_or_is_short_is_no_password(value: str) -> None:
    assert not identities.is_password(value)


@pytest.mark.parametrize("value", ["x" * 32, "Az09" * 8, "x" * 64])
def test_longer_passwords_of_the_same_letters_are_fine(value: str) -> None:
    assert identities.is_password(value)
