"""Reads settings from environment variables, and reports all their faults at once. Pure."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Self

from shared.errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import StrEnum
    from typing import TypeVar

    T = TypeVar("T")
    E = TypeVar("E", bound=StrEnum)

_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(ms|s|m|h|d)", re.ASCII)
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_FRACTION: Final = re.compile(r"\d{1,6}(/0*[1-9]\d{0,5}|\.\d{1,6})?", re.ASCII)

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Environment:
    """Environment variables, and the faults found in those that were read so far.

    A faulty variable yields a harmless value, so that reading goes on to the next fault; `check` then raises.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def required(self, name: str) -> str:
        """Read a variable that must be set."""
        value = self._environ.get(name, "")
        if not value:
            self._problems.append(f"{name} is not set")
        return value

    def text(self, name: str, default: str) -> str:
        """Read a variable that may be unset or empty."""
        return self._environ.get(name) or default

    def number(self, name: str, default: int, maximum: int) -> int:
        """Read a whole number from 0 to `maximum`."""
        text = self.text(name, str(default))
        if text.isascii() and text.isdigit() and int(text) <= maximum:
            return int(text)
        self._problems.append(f"{name} is no number from 0 to {maximum}")
        return default

    def duration(self, name: str, default: timedelta, minimum: timedelta) -> timedelta:
        """Read a number with a unit: `250ms`, `30s`, `90m`, `1.5h` or `30d`."""
        text = self.text(name, "")
        if not text:
            return default
        found = _DURATION.fullmatch(text)
        if found and (span := float(found[1]) * _UNITS[found[2]]) >= minimum:
            return span
        self._problems.append(f"{name} is no duration like 250ms, 30s, 90m, 1.5h or 30d of at least {minimum}")
        return default

    def fraction(self, name: str, default: Fraction) -> Fraction:
        """Read a part of a whole, between nothing and all of it: `2/3` or `0.5`."""
        text = self.text(name, str(default))
        if _FRACTION.fullmatch(text) and 0 < (part := Fraction(text)) < 1:
            return part
        self._problems.append(f"{name} is no fraction between 0 and 1")
        return default

    def flag(self, name: str, *, default: bool) -> bool:
        """Read `true` or `false`."""
        text = self.text(name, str(default).lower())
        if text not in {"true", "false"}:
            self._problems.append(f"{name} is neither true nor false")
        return text == "true"

    def choice(self, name: str, choices: type[E], default: E) -> E:
        """Read one word of an enumeration."""
        text = self.text(name, default.value)
        found = next((choice for choice in choices if choice.value == text), None)
        if found is None:
            self._problems.append(f"{name} is none of {', '.join(choice.value for choice in choices)}")
        return found or default

    def log_level(self, name: str) -> str:
        """Read a log level as Python names it, in upper or lower case."""
        text = self.text(name, "INFO").upper()
        if text not in LOG_LEVELS:
            self._problems.append(f"{name} is none of {', '.join(LOG_LEVELS)}")
        return text

    def entries(self, name: str, parse: Callable[[str], T | None], form: str) -> tuple[T, ...]:
        """Read a comma-separated list that must not be empty.

        Args:
            name: The variable.
            parse: Reads one entry, or answers None if it cannot.
            form: What an entry looks like, for people.
        """
        found = self.optional_entries(name, parse, form)
        if self.required(name) and not self._environ[name].replace(",", "").strip():
            self._problems.append(f"{name} holds no entry")
        return found

    def optional_entries(self, name: str, parse: Callable[[str], T | None], form: str) -> tuple[T, ...]:
        """Read a comma-separated list that may be unset or empty; the arguments are those of `entries`."""
        texts = [entry.strip() for entry in self.text(name, "").split(",") if entry.strip()]
        parsed = [(text, parse(text)) for text in texts]
        self._problems += [f"{name}: {text!r} is not {form}" for text, value in parsed if value is None]
        return tuple(value for _, value in parsed if value is not None)

    def structured(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """Read a variable that holds JSON, and may be unset or empty.

        Args:
            name: The variable.
            parse: Reads its text, or raises InvalidSettings.
            default: What an unset variable means.
        """
        text = self.text(name, "")
        # Helm writes `null` for a value that is not there.
        if text in {"", "null"}:
            return default
        try:
            return parse(text)
        except InvalidSettings as error:
            self._problems.append(f"{name}: {error}")
            return default

    def namespaces(self, name: str) -> tuple[str, ...]:
        """Read a comma-separated list of namespaces, which may be empty."""
        return self.optional_entries(name, _namespace, "the name of a namespace")

    def fault(self, problem: str) -> None:
        """Report a fault of several variables together."""
        self._problems.append(problem)

    def check(self) -> None:
        """Raise InvalidSettings if there were faults; the message lists them all."""
        if self._problems:
            raise InvalidSettings("; ".join(self._problems))


class FromEnvironment(ABC):
    """Settings that a process reads from its environment."""

    __slots__ = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from environment variables.

        Raises:
            InvalidSettings: Variables are missing or malformed; the message lists all of them.
        """
        env = Environment(environ)
        settings = cls._read(env)
        env.check()
        return settings

    @classmethod
    @abstractmethod
    def _read(cls, env: Environment) -> Self:
        """Read each setting; a faulty variable may yield any value of its type."""


def _namespace(text: str) -> str | None:
    return text if _NAMESPACE.fullmatch(text) else None
