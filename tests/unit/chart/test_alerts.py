"""Alerts ask for what exists, cases of alerts are such as can occur, and each alert has its runbook."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from certs.rotation.actions import Phase
from reconciler.metrics import primary_answers
from reconciler.runtime.metrics import PassOutcome
from reconciler.runtime.workqueue import MAX_BACKOFF_SECONDS
from shared import names
from shared.session_storage.status import RotationPhase
from tests.integration.alerts.cases import CASES
from tests.integration.alerts.healthy import HEALTHY
from tests.reference.metrics import declared_series
from tests.support.alert_rules import RULES, RUNBOOKS, Alert, alerts, recordings
from tests.support.chart import CHART
from tests.support.promql import Selector, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[3]
MONITOR: Final = (ROOT / "docs/howto/monitor.md").read_text()
CERTIFICATES: Final = (ROOT / "docs/howto/certificates.md").read_text()
CONDITIONS: Final = (ROOT / "docs/reference/conditions.md").read_text()
OF_TARGETS: Final = frozenset({"instance"})
"""Labels that Prometheus itself gives to what it scrapes."""
OF_API_SERVERS: Final = {
    # k8s.io/apiserver v0.36.3, pkg/admission/metrics/metrics.go.
    "apiserver_admission_webhook_admission_duration_seconds_bucket": {"name", "type", "operation", "rejected", "le"},
    "apiserver_admission_webhook_rejection_count": {"name", "type", "operation", "error_type", "rejection_code"},
    "apiserver_admission_webhook_fail_open_count": {"name", "type"},
}
"""The only series in our rules that are not our own."""
WEBHOOKS: Final = re.findall(
    r"^  - name: ([\w.]+)$", (CHART / "templates/webhook/configuration.yaml").read_text(), re.MULTILINE
)
VALUES: Final = {
    "type": set(re.findall(r"^\| `(\w+)` \|", CONDITIONS, re.MULTILINE)),
    "status": {"True", "False", "Unknown"},
    "phase": {*RotationPhase, *Phase},
    "role": {names.ROLE_PRIMARY, names.ROLE_REPLICA},
    "le": {*map(str, primary_answers.BOUNDS)},
    "wired": {"true", "false"},
    "planned": {"true", "false"},
    "outcome": {*PassOutcome},
    "kind": {"next"},  # certs/metrics.py
    "serving": {"current"},
    "error_type": {"calling_webhook_error"},
    "name": {f"({'|'.join(each.split('.')[0] for each in WEBHOOKS)})[.]toolhive[.]stacklok[.]dev"},
}
"""What a rule may ask of a label: a word that nobody writes is an alert that never fires."""
HEADINGS: Final = ["Meaning", "Impact", "Look", "Do"]
NAMES: Final = sorted({alert.name for alert in alerts()})
each_alert: Final = pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert.name}-{alert.severity}")
each_runbook: Final = pytest.mark.parametrize("name", NAMES)


@cache
def known() -> dict[str, frozenset[str]]:
    recorded = {name: frozenset(("namespace", "storage")) for name in recordings()}
    return declared_series() | recorded | {name: frozenset(labels) for name, labels in OF_API_SERVERS.items()}


def selectors() -> Iterator[Selector]:
    for expression in [*recordings().values(), *(alert.expression for alert in alerts())]:
        yield from parse(expression).selectors


def labels_of(expression: str) -> set[str]:
    """The labels that the answer can have."""
    parsed = parse(expression)
    recorded = [recordings()[each.name] for each in parsed.selectors if each.name in recordings()]
    return parsed.groupings.union(*map(labels_of, recorded))


def test_the_lint_reads_an_expression_as_prometheus_does() -> None:
    parsed = parse(
        'sum by (a) (rate(one_total{b="x", c!="}"}[5m])) / on (a) group_left (d) two:three > 0.5 or absent(four == 1)'
    )
    assert [each.name for each in parsed.selectors] == ["one_total", "two:three", "four"]
    assert parsed.selectors[0].matchers == {"b": ("=", "x"), "c": ("!=", "}")}
    assert parsed.groupings == {"a", "d"}


def test_every_series_in_a_rule_exists_and_has_the_labels_that_the_rule_asks_for() -> None:
    declared = known()
    asked = list(selectors())
    assert len(asked) > len(CASES)
    assert {each.name for each in asked} <= declared.keys()
    assert [each for each in asked if not each.matchers.keys() <= declared[each.name]] == []


def test_every_value_that_a_rule_asks_of_a_label_is_one_that_somebody_writes() -> None:
    values = {(label, value) for each in selectors() for label, (_, value) in each.matchers.items()}
    assert len(values) > 10
    assert sorted((label, value) for label, value in values if value not in VALUES[label]) == []


def test_no_rule_adds_up_what_two_leaders_say_of_one_thing() -> None:
    """When another replica begins to lead, gauges of both are there together for a while."""
    added = {
        name
        for expression in [*recordings().values(), *(alert.expression for alert in alerts())]
        for name in re.findall(r"\b(?:sum|avg|count)(?: by \([^)]*\))? *\(\s*(\w+)", expression)
    }
    assert {"max", "rate", "increase"} <= added
    assert added & known().keys() == set()


def test_a_storage_whose_passes_fail_is_not_unattended() -> None:
    """Its looks are as far apart as the longest pause; what Prometheus knows of the last one may be a minute old."""
    (expression,) = (each.expression for each in alerts() if each.labels.get("scope") == "storage")
    assert int(expression.rpartition("> ")[2]) > 1.2 * MAX_BACKOFF_SECONDS + 60


def test_every_recorded_series_is_read_by_an_alert_or_by_another() -> None:
    assert recordings().keys() - {each.name for each in selectors()} == set()


@each_alert
def test_an_alert_says_what_happens_to_whom_in_words_that_its_series_have(alert: Alert) -> None:
    assert alert.name.startswith("SessionStorage")
    assert alert.severity in {"critical", "warning"}
    assert alert.annotations.keys() == {"summary", "description"}
    text = "\n".join(alert.annotations.values())
    assert all(each.endswith(".") for each in alert.annotations.values())
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels_of(alert.expression)


@each_alert
def test_an_alert_about_a_storage_names_it(alert: Alert) -> None:
    if "storage" in labels_of(alert.expression):
        assert "{{ $labels.namespace }}/{{ $labels.storage }}" in alert.annotations["summary"]


def test_every_alert_has_a_case_with_each_of_its_severities() -> None:
    assert {(case.alert, case.severity) for case in CASES} == {(alert.name, alert.severity) for alert in alerts()}
    assert all(case.spares for case in CASES)


def test_the_cases_have_series_as_our_processes_and_api_servers_write_them() -> None:
    declared = known()
    given = [series for case in CASES for series in (*case.fires, *(each for spare in case.spares for each in spare))]
    wrong = {
        series.text
        for series in (*given, *HEALTHY)
        if not {name for name, _ in series.labels} - OF_TARGETS <= declared[series.name]
    }
    assert wrong == set()
    # So that an alert which the first events are to fire has a case in which they do.
    own = [each for each in (*given, *HEALTHY) if re.fullmatch(r"session_storage_\w+_(?:total|bucket)", each.name)]
    assert len(own) > 10
    assert {each.text for each in own if not each.values.startswith("0")} == set()


def test_at_rest_there_is_every_series_that_a_rule_asks_for() -> None:
    of_failures = {name for name in OF_API_SERVERS if name.endswith("_count")}
    asked = {each.name for each in selectors()} - recordings().keys() - of_failures
    assert asked == {series.name for series in HEALTHY} & asked


def test_every_runbook_has_its_alert() -> None:
    assert sorted(page.stem for page in RUNBOOKS.glob("*.md")) == NAMES


@each_runbook
def test_a_runbook_says_what_an_alert_means_does_and_needs(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert re.findall(r"^# (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE) == [
        name
    ]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    parts = re.split(r"^## .*$", text, flags=re.MULTILINE)
    assert all(part.strip() for part in parts)
    assert "```sh\n" in parts[3] + parts[4], "there is a command to copy"
    severities = {alert.severity for alert in alerts() if alert.name == name}
    assert {word for word in ("critical", "warning") if word in parts[0]} == severities


def test_the_guide_lists_every_alert_with_its_severities_and_how_long_each_lasts() -> None:
    listed = re.findall(r"^\| \[`?(\w+)`?\]\(\.\./runbooks/(\w+)\.md\) \| ([^|]+) \| ([^|]*)\|", MONITOR, re.MULTILINE)
    assert [(name, page) for name, page, *_ in listed if name != page] == []
    found = {
        name: (set(severities.split(", ")), set((lasts.strip() or "0m").split(", ")))
        for name, _, severities, lasts in listed
    }
    declared = {name: [alert for alert in alerts() if alert.name == name] for name in NAMES}
    assert found == {
        name: ({each.severity for each in same}, {each.lasts for each in same}) for name, same in declared.items()
    }


@pytest.mark.parametrize(
    "page", [*sorted(RUNBOOKS.glob("*.md")), ROOT / "docs/howto/monitor.md"], ids=lambda page: page.stem
)
def test_the_queries_of_a_page_ask_for_series_and_labels_that_exist(page: Path) -> None:
    declared = known() | {"ALERTS": frozenset({"alertname", "severity", "alertstate"})}
    blocks = re.findall(r"^ *```promql\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    for query in "".join(blocks).splitlines():
        parsed = parse(query.partition("#")[0])
        assert parsed.selectors, query
        for each in parsed.selectors:
            assert each.name in declared, query
            assert each.matchers.keys() | (parsed.groupings - OF_TARGETS) <= declared[each.name], query


def test_the_objectives_in_the_file_are_the_charts_defaults() -> None:
    objectives = yaml.safe_load((CHART / "values.yaml").read_text())["monitoring"]["objectives"]
    assert recordings()["session_storage:availability:objective"] == f"{objectives['availability']} / 100"
    assert recordings()["session_storage:sessions_kept:objective"] == f"{objectives['sessionsKept']} / 100"


def test_every_metric_of_the_certificates_is_explained() -> None:
    of_certificates = {
        re.sub(r"_(?:bucket|sum|count)$", "", name)
        for name in known()
        if re.search(r"certificate|ca_bundle|serving|pods_seen", name)
    }
    assert len(of_certificates) > 5
    assert [name for name in of_certificates if name not in CERTIFICATES] == []


def test_the_rules_are_plain_prometheus_rules() -> None:
    """So that who has no operator can use the file, and promtool tests what is installed."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    fields = {key for group in groups for rule in group["rules"] for key in rule}
    assert fields == {"record", "alert", "expr", "for", "labels", "annotations"}
