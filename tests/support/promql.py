"""Reads which series an expression of PromQL asks for; no more of the language than our rules and dashboards use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_:][\w:]*|\d[\w.]*|[!=]~|[!=<>]=|\S')
_NAME: Final = re.compile(r"[A-Za-z_:][\w:]*")
_OPERATORS: Final = frozenset({"and", "or", "unless", "bool", "offset"})
_GROUPINGS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})


@dataclass(frozen=True, slots=True)
class Selector:
    """Series that an expression asks for.

    Attributes:
        name: Their name.
        matchers: What it asks of labels: operator and value, by label.
    """

    name: str
    matchers: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(slots=True)
class Expression:
    """What an expression names.

    Attributes:
        selectors: The series that it asks for, in order.
        groupings: The labels by which it aggregates or matches.
    """

    selectors: list[Selector] = field(default_factory=list)
    groupings: set[str] = field(default_factory=set)


def parse(text: str) -> Expression:
    """Find the series and the grouping labels of an expression."""
    found, tokens = Expression(), _TOKEN.findall(text)
    while tokens:
        token = tokens.pop(0)
        following = tokens[0] if tokens else ""
        if token == "[":
            _until(tokens, "]")
        elif token in _GROUPINGS:
            found.groupings.update(each for each in _until(tokens, ")") if _NAME.fullmatch(each))
        elif _NAME.fullmatch(token) and token not in _OPERATORS and following not in {"(", "by", "without"}:
            found.selectors.append(Selector(token, _matchers(tokens) if following == "{" else {}))
    return found


def _matchers(tokens: list[str]) -> dict[str, tuple[str, str]]:
    inside = [token for token in _until(tokens, "}") if token not in {"{", ","}]
    return {inside[at]: (inside[at + 1], inside[at + 2].strip('"')) for at in range(0, len(inside), 3)}


def _until(tokens: list[str], end: str) -> list[str]:
    """Take the tokens away that come before `end`, and `end` as well."""
    taken = tokens[: tokens.index(end)]
    del tokens[: len(taken) + 1]
    return taken
