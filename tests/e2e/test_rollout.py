"""Webhook pods are replaced under a load of creates, and no create fails."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest

from deploy.demo.kube import Kube
from tests.e2e import webhook
from tests.e2e.api import load
from tests.e2e.conftest import Run
from tests.e2e.consumers import BY_FIELD
from tests.e2e.namespaces import KINDS
from tests.e2e.storages import server

pytestmark = pytest.mark.usefixtures("consumers")
PER_SECOND = 25
LEAST_PER_SECOND = 20


@pytest.mark.parametrize(
    ("how", "replace"),
    [
        pytest.param("rollout", webhook.restart, id="rollout"),
        pytest.param("one by one", webhook.delete_one_by_one, id="one by one"),
    ],
)
def test_no_create_fails_while_pods_are_replaced(
    run: Run, how: str, replace: Callable[[Kube], None], figures: list[str]
) -> None:
    webhook.keep_logs(run)
    before = webhook.pods(run.kube)
    begun = time.monotonic()
    with load(run.kube, server("loaded", KINDS, run.images.mcp_server, **BY_FIELD), PER_SECOND) as answers:
        replace(run.kube)
        took = time.monotonic() - begun
    failures = [answer.failure for answer in answers if answer.failure]
    slowest = statistics.quantiles((answer.seconds for answer in answers), n=100)[98]
    figures.append(
        f"webhook pods replaced ({how}): {len(answers)} creates in {took:.0f} s, {len(failures)} failed,"
        f" p99 {slowest * 1000:.0f} ms"
    )
    assert failures == []
    assert all("sessionStorage" in answer.body["spec"] for answer in answers)
    assert len(answers) / took >= LEAST_PER_SECOND
    assert not webhook.pods(run.kube) & before
