"""Without the webhook, only writes to consumers with a reference have to wait, and everything recovers afterwards."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from functools import partial

import pytest

from deploy.demo.kube import Kube, until
from deploy.demo.storages import KIND
from tests.e2e import webhook
from tests.e2e.api import create_each
from tests.e2e.conftest import Run
from tests.e2e.consumers import BY_FIELD, CONNECTED_BY_ANNOTATION, ORIGIN, STORAGE, Consumer
from tests.e2e.namespaces import KINDS
from tests.e2e.storages import await_ready, read, server, storage

BYSTANDERS = 5
CREATE_SECONDS = 0.2
"""Seconds; a create without a webhook takes some 20 ms here."""
OPERATOR_SECONDS = 10
"""Seconds from a change to the write of ToolHive's operator, with room for a slow machine and two of our polls."""
HEALING_SECONDS = 60


@pytest.fixture(scope="module")
def outage(run: Run, consumers: None) -> Iterator[Kube]:
    """Stop the webhook once everything runs."""
    kube = run.kube
    for consumer in CONNECTED_BY_ANNOTATION:
        consumer.proxies(kube).await_ready(consumer.replicas)
    kube.apply(
        storage("leaving", KINDS, size="small"),
        server("leaving", KINDS, run.images.mcp_server, **BY_FIELD),
    )
    await_ready(kube, KINDS, "leaving")
    until("ToolHive has reconciled the server", lambda: has_proxy(kube, "leaving"), OPERATOR_SECONDS)
    webhook.keep_logs(run)
    webhook.stop(kube)
    yield kube
    webhook.start(kube)


def has_proxy(kube: Kube, consumer: str) -> bool:
    return kube.get("deployment", consumer, KINDS) is not None


def is_connected(kube: Kube, consumer: str) -> bool:
    template = read(kube, "deployment", consumer, KINDS)["spec"]["template"]
    sources = template["spec"]["containers"][0].get("envFrom", [])
    return {"secretRef": {"name": f"{STORAGE}-connection"}} in sources


def scale(kube: Kube, replicas: int) -> None:
    patch = f'--patch={{"spec":{{"replicas":{replicas}}}}}'
    kube.run("patch", "mcpservers", ORIGIN, "--type=merge", patch, namespace=KINDS)


def seconds_until(kube: Kube, consumer: str, field: str, wanted: object) -> float:
    """Measure how long ToolHive's operator takes to write a field into the spec of a proxy's Deployment."""
    begun = time.monotonic()

    def is_so() -> bool:
        found = kube.get("deployment", consumer, KINDS)
        return found is not None and found["spec"].get(field) == wanted

    until(f"{field} of {consumer} is {wanted}", is_so, OPERATOR_SECONDS)
    return time.monotonic() - begun


def test_servers_without_a_reference_are_created_as_always(run: Run, outage: Kube, figures: list[str]) -> None:
    names = [f"bystander-{number}" for number in range(BYSTANDERS)]
    answers = create_each(outage, [server(name, KINDS, run.images.mcp_server) for name in names])
    took = statistics.median(answer.seconds for answer in answers)
    figures.append(f"webhook down: a server without a reference is created in {took * 1000:.0f} ms")
    assert [answer.failure for answer in answers] == [""] * BYSTANDERS
    assert took <= CREATE_SECONDS
    for name in names:
        until(f"ToolHive has made a proxy for {name}", partial(has_proxy, outage, name), OPERATOR_SECONDS)
    # ToolHive's operator must be done with these servers, because the next test measures its reaction.
    outage.run("delete", "mcpservers", *names, "--timeout=60s", namespace=KINDS)


def test_toolhive_scales_and_changes_proxies_as_always(outage: Kube, figures: list[str]) -> None:
    scale(outage, 2)
    took = seconds_until(outage, ORIGIN, "replicas", 2)
    scale(outage, 1)
    figures.append(f"webhook down: ToolHive scales a proxy within {took:.1f} s")
    seconds_until(outage, ORIGIN, "replicas", 1)


def test_a_webhook_that_never_answers_costs_toolhive_a_second(run: Run, outage: Kube, figures: list[str]) -> None:
    with webhook.deaf(run):
        scale(outage, 2)
        took = seconds_until(outage, ORIGIN, "replicas", 2)
        scale(outage, 1)
        seconds_until(outage, ORIGIN, "replicas", 1)
    figures.append(f"webhook deaf: ToolHive scales a proxy within {took:.1f} s")


@pytest.mark.parametrize("consumer", CONNECTED_BY_ANNOTATION, ids=lambda consumer: consumer.name)
def test_toolhive_can_recreate_the_proxy_of_a_connected_consumer(outage: Kube, consumer: Consumer) -> None:
    """The new proxy lacks our Secret, except that of a virtual server, which has it in its own template."""
    outage.run("delete", "deployment", consumer.name, namespace=KINDS)
    until("the proxy is back", partial(has_proxy, outage, consumer.name), OPERATOR_SECONDS)


def test_kubernetes_refuses_a_server_with_a_reference(run: Run, outage: Kube) -> None:
    wanted = json.dumps(server("refused", KINDS, run.images.mcp_server, **BY_FIELD))
    assert 'failed calling webhook "consumers.toolhive.stacklok.dev"' in outage.refusal(
        "create", "-f", "-", stdin=wanted
    )


def test_a_connected_server_and_a_storage_can_be_deleted(outage: Kube) -> None:
    outage.run("delete", "mcpservers", "leaving", "--timeout=30s", namespace=KINDS)
    outage.run("delete", KIND, "leaving", "--timeout=30s", namespace=KINDS)


def test_everything_recovers_when_the_webhook_is_back(run: Run, outage: Kube, figures: list[str]) -> None:
    webhook.start(outage)
    begun = time.monotonic()
    for consumer in CONNECTED_BY_ANNOTATION:
        until(f"{consumer.name} is connected", partial(is_connected, outage, consumer.name), HEALING_SECONDS)
    figures.append(f"webhook back: proxies made meanwhile are connected within {time.monotonic() - begun:.0f} s")
    for consumer in CONNECTED_BY_ANNOTATION:
        consumer.proxies(outage).await_ready(consumer.replicas)
    wanted = json.dumps(server("refused", KINDS, run.images.mcp_server, **BY_FIELD))
    assert outage.refusal("create", "--dry-run=server", "-f", "-", stdin=wanted) == ""
