"""A Prometheus of our own on loopback, for tests that ask it; it ends with the block."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import subprocess
import time
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.support import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 30
"""It starts within a second; a busy machine takes longer."""
ASK_SECONDS: Final = 30
LOOK_SECONDS: Final = 0.05


class QueryFailed(Exception):
    """Prometheus refused a query, or could not evaluate it; the message is its own."""


@dataclass(frozen=True, slots=True)
class Window:
    """Times for which a query is evaluated, in Unix seconds."""

    start: float
    end: float
    step: float = 30.0


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert whose expression holds.

    Attributes:
        name: Its name.
        labels: All of its labels, those of the rule included.
        state: `pending` until it has held for as long as the rule says, and then `firing`.
        active_at: Since when it has held, in RFC 3339.
    """

    name: str
    labels: Mapping[str, str]
    state: str
    active_at: str

    @property
    def is_firing(self) -> bool:
        """Whether Prometheus would tell somebody."""
        return self.state == "firing"


@dataclass(frozen=True, slots=True)
class Server:
    """A running Prometheus.

    Attributes:
        port: Where it listens on loopback.
    """

    port: int

    def series(self, expression: str, window: Window) -> list[dict[str, Any]]:
        """Evaluate an expression over time, as Grafana does for a graph; return the series that have values.

        Raises:
            QueryFailed: Prometheus refused it.
        """
        asked = {"query": expression, "start": window.start, "end": window.end, "step": window.step}
        found: list[dict[str, Any]] = self._get("/api/v1/query_range", asked)["result"]
        return found

    def answers(self, expression: str, window: Window) -> bool:
        """Tell whether a graph of an expression has a point; Grafana draws none where a value is no number."""
        found = self.series(expression, window)
        return any(not math.isnan(float(value)) for each in found for _, value in each["values"])

    def instant(self, expression: str) -> list[float]:
        """Evaluate an expression as of now; return the value of each series that it gives.

        A series that its target has stopped to tell, or whose target does not answer, gives none.

        Raises:
            QueryFailed: Prometheus refused it.
        """
        return [float(each["value"][1]) for each in self._get("/api/v1/query", {"query": expression})["result"]]

    def alerts(self) -> list[ActiveAlert]:
        """List the alerts that are pending or firing."""
        return [
            ActiveAlert(each["labels"]["alertname"], each["labels"], each["state"], each["activeAt"])
            for each in self._get("/api/v1/alerts", {})["alerts"]
        ]

    def label_values(self, label: str, series: str, window: Window) -> set[str]:
        """List the values that a label of these series has, as Grafana does for a variable."""
        asked = {"match[]": series, "start": window.start, "end": window.end}
        return set(self._get(f"/api/v1/label/{label}/values", asked))

    def is_ready(self) -> bool:
        """Tell whether it answers queries."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._ask("/-/ready")[0] == http.HTTPStatus.OK
        return False

    def _get(self, path: str, asked: Mapping[str, object]) -> Any:
        status, body = self._ask(f"{path}?{urllib.parse.urlencode(asked)}")
        if status != http.HTTPStatus.OK:
            raise QueryFailed(f"{asked}: {body.decode()}")
        return json.loads(body)["data"]

    def _ask(self, path: str) -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection(HOST, self.port, timeout=ASK_SECONDS)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextlib.contextmanager
def serving(
    directory: Path, port: int, scraped: Sequence[dict[str, Any]], rules: Mapping[str, Any] | None = None
) -> Iterator[Server]:
    """Run Prometheus until the block ends.

    Args:
        directory: Where it keeps its data (`data`), its configuration, its rules and its log.
        port: Where it listens on loopback.
        scraped: What it scrapes, as `scrape_configs`.
        rules: What it records and alerts on, as the content of a file of rules.

    Raises:
        PrerequisiteMissing: This machine has no Prometheus and cannot fetch it.
        StepFailed: It could not be fetched.
    """
    configuration = directory / "prometheus.yaml"
    rule_file = directory / "rules.yaml"
    # JSON is YAML. Short intervals, so that a test of minutes has as many points as a day of users, and an alert is no
    # later than its rule makes it. A group of rules with an interval of its own keeps that.
    rule_file.write_text(json.dumps(rules or {"groups": []}))
    intervals = {"scrape_interval": "5s", "evaluation_interval": "5s"}
    configured = {"global": intervals, "rule_files": [str(rule_file)], "scrape_configs": [*scraped]}
    configuration.write_text(json.dumps(configured))
    command = (
        str(prometheus.program("prometheus")),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={HOST}:{port}",
    )
    with (directory / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            server = Server(port)
            deadline = time.monotonic() + START_SECONDS
            while not server.is_ready():
                assert process.poll() is None, (directory / "prometheus.log").read_text()
                assert time.monotonic() < deadline, "Prometheus does not become ready"
                time.sleep(LOOK_SECONDS)
            yield server
        finally:
            process.terminate()
