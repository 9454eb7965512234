"""promtool, Prometheus' own, runs every alert against series that just fire it and series that just do not.

All of them together take 20 s of a processor: promtool evaluates the long windows at each step of up to three days.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.integration.alerts.case import Case
from tests.integration.alerts.cases import CASES
from tests.integration.alerts.healthy import HEALTHY
from tests.integration.alerts.series import Series, memory, own, sessions, taken_over
from tests.support import prometheus
from tests.support.alert_rules import RULES, alerts, all_groups, groups_with

if TYPE_CHECKING:
    from collections.abc import Iterable

GUIDE: Final = Path(__file__).parents[3] / "docs" / "howto" / "monitor.md"
PARAMETERS = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}-{case.severity}-{case.at}")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = str(prometheus.program("promtool"))
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def asked(
    series: Iterable[Series], step: str, expression: str, at: str, samples: list[dict[str, Any]]
) -> dict[str, Any]:
    """One test in promtool's form."""
    return {
        "interval": step,
        "input_series": [{"series": each.text, "values": each.values} for each in series],
        "promql_expr_test": [{"expr": expression, "eval_time": at, "exp_samples": samples}],
    }


def run(directory: Path, groups: list[dict[str, Any]], step: str, *tests: dict[str, Any]) -> None:
    rules, file = directory / "rules.yaml", directory / "tests.yaml"
    rules.write_text(json.dumps({"groups": groups}))  # JSON is YAML
    # Without an order, promtool may evaluate an alert before what it reads.
    order = [group["name"] for group in groups]
    head = {"rule_files": [str(rules)], "group_eval_order": order, "evaluation_interval": step}
    file.write_text(json.dumps({**head, "tests": tests}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def firing(case: Case) -> str:
    return f'group by (severity) (ALERTS{{alertname="{case.alert}",severity="{case.severity}",alertstate="firing"}})'


def expression_of(name: str) -> str:
    (alert,) = (each for each in alerts() if each.name == name)
    return alert.expression


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    done = promtool("check", "rules", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


@PARAMETERS
def test_an_alert_fires_and_just_does_not(tmp_path: Path, case: Case) -> None:
    fired = [{"labels": f'{{severity="{case.severity}"}}', "value": 1}]
    run(
        tmp_path,
        groups_with(case.alert),
        case.step,
        asked(case.fires, case.step, firing(case), case.at, fired),
        *(asked(series, case.step, firing(case), case.spared_at or case.at, []) for series in case.spares),
    )


def test_at_rest_no_alert_is_even_pending(tmp_path: Path) -> None:
    run(
        tmp_path,
        all_groups(),
        "1m",
        asked(HEALTHY, "1m", "count by (alertname) (count_over_time(ALERTS[2h]))", "2h", []),
    )


def test_while_another_replica_begins_to_lead_no_alert_is_even_pending(tmp_path: Path) -> None:
    of_leaders = [each for each in HEALTHY if "instance" in dict(each.labels)]
    others = [each for each in HEALTHY if each not in of_leaders]
    run(
        tmp_path,
        all_groups(),
        "1m",
        asked(
            (*taken_over(of_leaders, 70), *others),
            "1m",
            "count by (alertname) (count_over_time(ALERTS[2h]))",
            "2h",
            [],
        ),
    )


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("session_storage:sessions:sum", 1000),
        ("session_storage:memory_used:ratio", 0.5),
        (expression_of("SessionStorageConsumerUnwired"), 3),
    ],
    ids=["sessions", "memory", "consumers"],
)
def test_what_two_leaders_tell_counts_once(tmp_path: Path, expression: str, value: float) -> None:
    told = (*sessions(1000), *memory("50x400"), own("consumers", "3x400", kind="MCPServer", wired="false"))
    run(
        tmp_path,
        all_groups(),
        "15s",
        asked(
            (*told, *(each.of_other_leader() for each in told)),
            "15s",
            f"max without (kind) ({expression})",
            "1m",
            [{"labels": '{namespace="team",storage="mine"}', "value": value}],
        ),
    )


def test_the_configuration_in_the_guide_is_one_that_prometheus_takes(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```yaml\n(scrape_configs:.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    configuration = yaml.safe_load(block)
    jobs = configuration["scrape_configs"]
    for job in jobs:
        # Debian builds Prometheus without Kubernetes' discovery.
        assert job.pop("kubernetes_sd_configs")[0]["role"] == "pod"
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration))
    done = promtool("check", "config", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {job.get("metrics_path", "/metrics"): job.get("honor_labels", False) for job in jobs} == {
        "/metrics": False,
        "/metrics/storages": True,
    }
