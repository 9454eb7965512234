"""Drills of alerts: what they strike, and what counts as seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from deploy.demo.errors import NotInTime
from tests.chaos import nodes
from tests.chaos.api import NAMESPACE
from tests.chaos.faults.fault import now
from tests.e2e.alerts.cuts import Cuts
from tests.e2e.alerts.drills import DRILLS, Drill, run
from tests.support.alert_rules import alerts
from tests.support.prometheus_server import ActiveAlert, Server

SITE: Any = None
"""Causes of these tests strike nothing."""


@dataclass(frozen=True)
class Told(Server):
    """A Prometheus that tells what it is told to."""

    port: int = 0
    found: list[ActiveAlert] = field(default_factory=list)

    def alerts(self) -> list[ActiveAlert]:
        return self.found


def drill(server: Told, *active: ActiveAlert) -> Drill:
    @contextmanager
    def cause(_: object) -> Iterator[float]:
        server.found.extend(active)
        yield now()
        server.found.clear()

    return replace(DRILLS[0], cause=cause)


def active(each: Drill, state: str, storage: str) -> ActiveAlert:
    labels = {"alertname": each.alert, "severity": each.severity, "namespace": NAMESPACE, "storage": storage}
    return ActiveAlert(each.alert, labels, state, "2026-01-01T00:00:00Z")


def test_eight_alerts_or_more_are_caused_each_on_a_storage_of_its_own() -> None:
    known = {(rule.name, rule.severity) for rule in alerts()}
    assert {(each.alert, each.severity) for each in DRILLS} <= known
    assert len({each.alert for each in DRILLS}) == len(DRILLS) >= 8
    storages = [each.storage for each in DRILLS if each.size]
    assert len(set(storages)) == len(storages)


def test_how_long_an_alert_waits_is_what_its_rule_says() -> None:
    lasts = {each.alert: each.lasts for each in DRILLS}
    assert lasts["SessionStorageFailoverBlocked"] == 0
    assert lasts["SessionStorageNotRedundant"] == 120


def test_an_alert_that_fires_and_goes_has_been_seen() -> None:
    server = Told()
    tried = drill(server, active(DRILLS[0], "firing", DRILLS[0].storage))
    seen = run(tried, SITE, server)
    assert 0 <= seen.fired < 1
    assert 0 <= seen.gone < 1


@pytest.mark.parametrize(("state", "storage"), [("pending", DRILLS[0].storage), ("firing", "another")])
def test_an_alert_that_only_waits_or_is_about_another_storage_does_not_count(state: str, storage: str) -> None:
    server = Told()
    tried = replace(drill(server, active(DRILLS[0], state, storage)), takes=-1000)
    with pytest.raises(NotInTime):
        run(tried, SITE, server)


def test_a_node_drops_the_packets_of_all_pods_that_are_cut_off_now() -> None:
    dropped: dict[str, str] = {}
    cuts = Cuts(dropped.__setitem__)
    one, other = (
        {"spec": {"nodeName": "node1"}, "status": {"podIP": address}} for address in ("198.18.16.5", "198.18.16.6")
    )
    with cuts.around([one]):
        with cuts.around([other]):
            assert dropped["node1"] == nodes.drops_around("198.18.16.5") + nodes.drops_around("198.18.16.6")
        assert dropped["node1"] == nodes.drops_around("198.18.16.5")
    assert dropped["node1"] == ""
