"""The Prometheus of our tests loads the chart's rules, and tells which alerts there are; it takes some six seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.demo.kube import until
from tests.integration.loopback import free_port
from tests.support.alert_rules import all_groups
from tests.support.prometheus_server import Server, serving

if TYPE_CHECKING:
    from pathlib import Path

EVALUATED_SECONDS: Final = 30
ALWAYS: Final = {"name": "always", "rules": [{"alert": "Always", "expr": "vector(1)", "labels": {"severity": "none"}}]}


def names_in(server: Server) -> set[str]:
    return {each.name for each in server.alerts()}


def test_an_alert_is_firing_or_waits_until_it_may(tmp_path: Path) -> None:
    with serving(tmp_path, free_port(), [], {"groups": [*all_groups(), ALWAYS]}) as server:
        expected = {"Always": "firing", "SessionStorageUnattended": "pending"}
        until("both have been evaluated", lambda: expected.keys() <= names_in(server), EVALUATED_SECONDS)
        found = {each.name: each for each in server.alerts()}
        assert {name: found[name].state for name in expected} == expected
        assert [name for name, each in found.items() if each.is_firing] == ["Always"]
        assert found["SessionStorageUnattended"].labels["severity"] == "critical"
        assert server.instant("vector(2) > 1") == [2.0]
        assert server.instant("vector(2) > 3") == []
