"""Current, next and former passwords: what the auth Secret holds, and what instances must accept."""

from __future__ import annotations

from reconciler.apply import passwords
from reconciler.credentials import identities
from reconciler.credentials.identities import IDENTITIES, PASSWORD_KEYS
from reconciler.credentials.key_ring import KeyRing
from tests.support.fakevalkey import digest

OLD = {key: passwords.generate() for key in PASSWORD_KEYS}
NEW = {key: passwords.generate() for key in PASSWORD_KEYS}
STAGED = KeyRing(current=OLD, staged=NEW)


def stored(ring: KeyRing) -> KeyRing:
    return KeyRing.of({"data": identities.encoded(ring.data)})


def test_a_ring_reads_as_it_was_written() -> None:
    for ring in (
        KeyRing(OLD),
        STAGED,
        STAGED.with_staged_as_current(),
        STAGED.with_staged_as_current().without_former(),
    ):
        assert stored(ring) == ring


def test_a_staged_password_is_accepted_but_not_handed_out() -> None:
    assert STAGED.current == OLD
    assert STAGED.accepted["default"] == {digest(OLD["password"]), digest(NEW["password"])}


def test_promoting_changes_the_handed_out_password_and_no_accepted_one() -> None:
    promoted = STAGED.with_staged_as_current()
    assert promoted.current == NEW
    assert promoted.accepted == STAGED.accepted


def test_the_acl_file_accepts_the_passwords_that_instances_must_accept() -> None:
    for ring in (KeyRing(OLD), STAGED, STAGED.with_staged_as_current()):
        for line in ring.data["users.acl"].splitlines():
            _, user, _, *words = line.split(" ")
            assert {word[1:] for word in words if word.startswith("#")} == ring.accepted[user]


def test_settling_keeps_only_hashes_of_the_former_passwords() -> None:
    settled = STAGED.with_staged_as_current().without_former()
    assert settled.accepted == identities.hashes(NEW)
    assert settled.retired == {identity.user: digest(OLD[identity.key]) for identity in IDENTITIES}
    assert not [password for password in OLD.values() if password in str(settled.data)]


def test_retired_hashes_are_kept_until_the_next_rotation_retires_others() -> None:
    settled = STAGED.with_staged_as_current().without_former()
    newest = {key: passwords.generate() for key in PASSWORD_KEYS}
    again = KeyRing(current=NEW, staged=newest, retired=settled.retired)
    assert again.with_staged_as_current().retired == settled.retired
    assert again.with_staged_as_current().without_former().retired["default"] == digest(NEW["password"])


def test_user_operator_tries_the_likeliest_password_first() -> None:
    assert STAGED.operators == (OLD["operator-password"], NEW["operator-password"])
    assert STAGED.with_staged_as_current().operators == (NEW["operator-password"], OLD["operator-password"])
    assert KeyRing.of(None).operators == ()


def test_values_that_are_not_our_passwords_are_left_out() -> None:
    spoilt = identities.encoded(STAGED.data | {"next-password": "short", "retired.acl": "a b c\nnonsense\nuser hash"})
    ring = KeyRing.of({"data": spoilt})
    assert "password" not in ring.staged
    assert ring.retired == {"user": "hash"}


def test_the_text_of_a_key_ring_shows_no_password() -> None:
    assert repr(STAGED.with_staged_as_current().without_former()) == "KeyRing()"
