"""The webhook as a process: what it needs, and how it ends."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.loopback import free_port
from tests.integration.processes import Process, eventually

DRAIN_SECONDS = 2


def http_get(process: Process, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{process.environ['HTTP_PORT']}{path}", timeout=2) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metric(process: Process, name: str) -> float:
    found = process.metric(name)
    assert found is not None
    return found


def test_it_stays_small_and_reports_when_its_certificate_ends(processes: dict[str, Process]) -> None:
    webhook = processes["webhook"]
    assert metric(webhook, "process_resident_memory_bytes") < 100 * 1024 * 1024
    assert metric(webhook, "session_storage_webhook_certificate_not_after_seconds") > time.time()


def test_after_sigterm_it_goes_on_serving_for_a_while(processes: dict[str, Process], tmp_path: Path) -> None:
    ports = {"HTTP_PORT": str(free_port()), "WEBHOOK_PORT": str(free_port()), "DRAIN_SECONDS": str(DRAIN_SECONDS)}
    leaving = Process("webhook", processes["webhook"].environ | ports, tmp_path / "webhook.log")
    leaving.start()
    with ThreadPoolExecutor() as pool:
        leaving.await_ready()
        start = time.monotonic()
        status = pool.submit(leaving.terminate)
        eventually(lambda: http_get(leaving, "/readyz") == (503, "waiting for its clients to leave\n"), what="draining")
        assert http_get(leaving, "/healthz")[0] == 200
        assert status.result() == 0
    assert time.monotonic() - start >= DRAIN_SECONDS
    assert "traceback" not in leaving.log.read_text()


@pytest.mark.parametrize("variable", ["TLS_SECRET", "WEBHOOK_SERVICE", "POD_NAMESPACE"])
def test_it_names_a_missing_setting(processes: dict[str, Process], tmp_path: Path, variable: str) -> None:
    lacking = Process("webhook", processes["webhook"].environ | {variable: ""}, tmp_path / "webhook.log")
    lacking.start()
    eventually(lambda: lacking.log.read_text() == f"webhook: {variable} is not set\n", what="the log names it")
    lacking.kill()
