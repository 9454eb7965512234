"""Validation names every problem that a Secret can have."""

from __future__ import annotations

import ssl
import string
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from certs.pki import issue, validation
from certs.pki.pem import Pair, bundle_of, encoded, entry, pair_of
from certs.pki.validation import Problem
from shared.errors import CertificateError

if TYPE_CHECKING:
    from shared.objects.resources import Object

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = validation.dns_names("release-webhook", "session-storage-system")
AUTHORITY = issue.issue_authority(NOW)
TRUSTED = (AUTHORITY.certificate,)
LEAF = issue.issue_serving(AUTHORITY, NAMES, NOW)
LEAF_DER = LEAF.certificate.public_bytes(Encoding.DER)
ENTRIES = ("tls.crt", "tls.key", "ca.crt")


def secret(pair: Pair) -> Object:
    return {"data": {"tls.crt": encoded(pair.certificate_pem), "tls.key": encoded(pair.key_pem)}}


def rsa_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return encoded(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_a_sound_pair_has_no_problems() -> None:
    assert validation.authority_problems(secret(AUTHORITY), NOW) == ()
    assert validation.serving_problems(secret(LEAF), TRUSTED, NAMES, NOW) == ()


def test_a_pair_reads_from_a_secret_as_it_was_written() -> None:
    read = pair_of(secret(LEAF))
    assert read.certificate == LEAF.certificate
    assert read.key_pem == LEAF.key_pem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(None, Problem.ABSENT, id="no Secret"),
        pytest.param({}, Problem.MALFORMED, id="no data"),
        pytest.param({"data": None}, Problem.MALFORMED, id="null data"),
        pytest.param({"data": {"tls.crt": "", "tls.key": ""}}, Problem.MALFORMED, id="empty entries"),
        pytest.param({"data": {**secret(LEAF)["data"], "tls.key": "%%%"}}, Problem.MALFORMED, id="no base64"),
        pytest.param({"data": {**secret(LEAF)["data"], "tls.crt": "aGk="}}, Problem.MALFORMED, id="no PEM"),
        pytest.param({"data": {**secret(LEAF)["data"], "tls.key": rsa_key()}}, Problem.KEY_MISMATCH, id="RSA key"),
        pytest.param(secret(Pair(LEAF.certificate, AUTHORITY.key)), Problem.KEY_MISMATCH, id="another key"),
    ],
)
def test_each_defect_of_a_secret_is_named(content: Object | None, problem: Problem) -> None:
    assert validation.serving_problems(content, TRUSTED, NAMES, NOW) == (problem,)
    assert problem in validation.authority_problems(content, NOW)


@given(st.dictionaries(st.sampled_from(ENTRIES), st.binary().map(encoded) | st.text(string.printable + "é€")))
def test_no_content_of_a_secret_makes_the_validation_raise(data: dict[str, str]) -> None:
    assert validation.authority_problems({"data": data}, NOW) == (Problem.MALFORMED,)
    assert validation.serving_problems({"data": data}, TRUSTED, NAMES, NOW) == (Problem.MALFORMED,)


@given(st.integers(0, len(LEAF_DER) - 1), st.integers(1, 255))
def test_no_byte_of_a_certificate_can_change_unnoticed(position: int, change: int) -> None:
    altered = bytearray(LEAF_DER)
    altered[position] ^= change
    content = secret(LEAF)
    content["data"]["tls.crt"] = encoded(ssl.DER_cert_to_PEM_cert(bytes(altered)).encode())
    assert validation.serving_problems(content, TRUSTED, NAMES, NOW)


def test_a_malformed_key_is_not_quoted() -> None:
    with pytest.raises(CertificateError) as caught:
        pair_of({"data": {"tls.crt": encoded(LEAF.certificate_pem), "tls.key": encoded(b"hush")}})
    assert "hush" not in str(caught.value)


def test_a_leaf_is_not_accepted_as_an_authority() -> None:
    assert validation.authority_problems(secret(LEAF), NOW) == (Problem.NOT_AN_AUTHORITY,)


def test_an_authority_is_not_accepted_as_a_serving_certificate() -> None:
    assert validation.serving_problems(secret(AUTHORITY), TRUSTED, NAMES, NOW) == (Problem.UNTRUSTED,)


def test_a_leaf_of_another_authority_is_untrusted() -> None:
    stranger = issue.issue_authority(NOW).certificate
    assert validation.serving_problems(secret(LEAF), (stranger,), NAMES, NOW) == (Problem.UNTRUSTED,)
    assert validation.serving_problems(secret(LEAF), (), NAMES, NOW) == (Problem.UNTRUSTED,)
    assert validation.serving_problems(secret(LEAF), (stranger, *TRUSTED), NAMES, NOW) == ()


def test_a_leaf_must_be_valid_for_every_name() -> None:
    other = validation.dns_names("release-webhook", "elsewhere")
    assert validation.serving_problems(secret(LEAF), TRUSTED, other, NOW) == (Problem.UNTRUSTED,)
    assert validation.serving_problems(secret(LEAF), TRUSTED, (NAMES[0], other[0]), NOW) == (Problem.UNTRUSTED,)


@pytest.mark.parametrize(
    ("at", "problems"),
    [
        pytest.param(timedelta(hours=-1, seconds=-1), (Problem.NOT_YET_VALID,), id="before the back-dated start"),
        pytest.param(timedelta(hours=-1), (), id="first instant"),
        pytest.param(timedelta(days=30), (), id="last instant"),
        pytest.param(timedelta(days=30, seconds=1), (Problem.EXPIRED,), id="a second too late"),
        pytest.param(timedelta(days=4000), (Problem.EXPIRED,), id="eleven years too late"),
    ],
)
def test_validity_is_judged_at_the_given_instant(at: timedelta, problems: tuple[Problem, ...]) -> None:
    assert validation.serving_problems(secret(LEAF), TRUSTED, NAMES, NOW + at) == problems


def test_a_bundle_is_read_whole_or_not_at_all() -> None:
    two = {"data": {"ca.crt": encoded(AUTHORITY.certificate_pem + LEAF.certificate_pem)}}
    assert bundle_of(two) == (AUTHORITY.certificate, LEAF.certificate)
    with pytest.raises(CertificateError):
        bundle_of({"data": {"ca.crt": "aGk="}})
    assert entry({"data": {}}, "ca.crt") == b""
