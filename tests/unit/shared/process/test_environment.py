"""All settings are read, and every fault is reported."""

from __future__ import annotations

import pytest

from shared.errors import InvalidSettings
from shared.process.environment import Environment


def shouted(text: str) -> str | None:
    return text.upper() if text.isalpha() else None


def test_a_sound_environment_raises_nothing() -> None:
    env = Environment({"A": "a", "N": "7", "F": "false", "L": "x, y,,", "V": "warning"})
    assert (env.required("A"), env.text("B", "b"), env.number("N", 1, 9), env.number("M", 1, 9)) == ("a", "b", 7, 1)
    assert (env.flag("F", default=True), env.flag("G", default=True), env.log_level("V")) == (False, True, "WARNING")
    assert env.entries("L", shouted, "a word") == ("X", "Y")
    env.check()


def test_all_faults_are_reported_at_once() -> None:
    env = Environment({"N": "10", "F": "yes", "L": "x,1,2", "E": " , ", "V": "loud"})
    env.required("A")
    env.number("N", 1, 9)
    env.flag("F", default=False)
    env.entries("L", shouted, "a word")
    env.entries("E", shouted, "a word")
    env.log_level("V")
    with pytest.raises(InvalidSettings) as caught:
        env.check()
    assert str(caught.value).split("; ") == [
        "A is not set",
        "N is no number from 0 to 9",
        "F is neither true nor false",
        "L: '1' is not a word",
        "L: '2' is not a word",
        "E holds no entry",
        "V is none of DEBUG, INFO, WARNING, ERROR, CRITICAL",
    ]


@pytest.mark.parametrize("text", ["-1", "1.0", "²", "٣", "x", "99999999999"])
def test_only_plain_digits_are_a_number(text: str) -> None:
    env = Environment({"N": text})
    env.number("N", 1, 65535)
    with pytest.raises(InvalidSettings):
        env.check()
