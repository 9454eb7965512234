"""The recording rules and alerts of the chart, as its file has them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.support.chart import CHART
from tests.support.promql import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RULES: Final = CHART / "files" / "rules.yaml"
RUNBOOKS: Final = Path(__file__).parents[2] / "docs" / "runbooks"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; two may have the same name, and then differ in their labels."""

    name: str
    expression: str
    lasts: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def severity(self) -> str:
        """`critical`, which wakes somebody, or `warning`."""
        return self.labels["severity"]


def alerts() -> tuple[Alert, ...]:
    """Read all alerts, in order."""
    return tuple(
        Alert(rule["alert"], rule["expr"], rule.get("for", "0m"), rule["labels"], rule["annotations"])
        for rule in _rules()
        if "alert" in rule
    )


def recordings() -> dict[str, str]:
    """Read the expressions of all recorded series, by their name."""
    return {rule["record"]: str(rule["expr"]) for rule in _rules() if "record" in rule}


def groups_with(alert: str) -> list[dict[str, Any]]:
    """Read the groups with an alert and the recorded series that it reads, and nothing else.

    Who records comes before who reads in the file.
    """
    names, found = {alert}, []
    for group in reversed(_groups()):
        rules = []
        for rule in reversed(group["rules"]):
            if rule.get("alert", rule.get("record")) in names:
                names |= {each.name for each in parse(str(rule["expr"])).selectors}
                rules.append(rule)
        if rules:
            found.append({**group, "rules": rules[::-1]})
    return found[::-1]


def all_groups() -> list[dict[str, Any]]:
    """Read all groups, in order."""
    return [*_groups()]


def _rules() -> Iterator[dict[str, Any]]:
    for group in _groups():
        yield from group["rules"]


@cache
def _groups() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
    return groups
