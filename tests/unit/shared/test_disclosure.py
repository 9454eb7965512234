"""What others wrote is shown without what may be a password, a hash or a session's id."""

from __future__ import annotations

import base64
import hashlib

import pytest

from reconciler.apply import passwords
from shared import errors, names
from shared.disclosure import text_of, without_secrets

SESSION = "3f0c9a52-6a0e-4a43-9d5e-0b6c2d1e7f88"
KEY = names.key_prefix("MCPServer", "team", "search")


@pytest.mark.parametrize(
    "secret",
    [
        passwords.generate(),
        hashlib.sha256(b"x").hexdigest(),
        hashlib.sha256(b"x").hexdigest().upper(),
        SESSION,
        SESSION.upper(),
        SESSION.replace("-", ""),
        base64.b64encode(b"a password in a Secret").decode(),
    ],
    ids=[
        "password",
        "hash",
        "hash in capitals",
        "session",
        "session in capitals",
        "session without dashes",
        "as a Secret has it",
    ],
)
@pytest.mark.parametrize("text", ["{}", "cannot read '{}'", "user default #{} on", "redis://me:{}@host:6379", "x={};"])
def test_what_is_secret_is_hidden_wherever_it_stands(text: str, secret: str) -> None:
    assert secret not in without_secrets(text.format(secret))


@pytest.mark.parametrize("password", ["short", "pa/ss", "a@b", "/"])
def test_what_stands_before_the_host_of_an_address_is_hidden_whatever_it_has_in_it(password: str) -> None:
    assert (
        without_secrets(f"cannot dial 'redis://me:{password}@host:6379/0'") == "cannot dial 'redis://***@host:6379/0'"
    )


def test_a_sessions_key_shows_whose_it_is_and_not_which() -> None:
    assert without_secrets(f"no key '{KEY}short'") == f"no key '{KEY}***'"


@pytest.mark.parametrize(
    "text",
    [
        "MISCONF Errors writing to the AOF file: No space left on device",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "[Errno 111] Connect call failed ('10.0.0.1', 6379)",
        "503 Service Unavailable: etcdserver: request timed out",
        "Task exception was never retrieved: coro=<_read() running> exception=ValueError('odd')",
    ],
)
def test_the_rest_is_shown(text: str) -> None:
    assert without_secrets(text) == text


def test_an_error_of_ours_is_told_as_it_is_and_any_other_is_not() -> None:
    name = "a-name-WithMoreThanSixteenLetters"
    assert text_of(errors.NotFound(name)) == name
    assert text_of(KeyError(name)) == "'a-name-***'"


def test_what_the_caller_knows_to_be_secret_is_hidden_however_short() -> None:
    assert without_secrets("short and shorter", ["short", ""]) == "*** and ***er"
