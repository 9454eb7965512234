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
    from collections.abc import Iterator, Mapping
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
def serving(directory: Path, port: int, scraped: list[dict[str, Any]]) -> Iterator[Server]:
    """Run Prometheus until the block ends.

    Args:
        directory: Where it keeps its data (`data`), its configuration and its log.
        port: Where it listens on loopback.
        scraped: What it scrapes, as `scrape_configs`.

    Raises:
        PrerequisiteMissing: This machine has no Prometheus and cannot fetch it.
        StepFailed: It could not be fetched.
    """
    configuration = directory / "prometheus.yaml"
    # JSON is YAML. A short interval, so that a test of minutes has as many points as a day of users.
    configuration.write_text(json.dumps({"global": {"scrape_interval": "5s"}, "scrape_configs": scraped}))
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
