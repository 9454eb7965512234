"""Consumers of every kind: connected by field and by annotation, and any of their proxies continues a session."""

from __future__ import annotations

import dataclasses
import uuid

import pytest

from deploy.demo.errors import SessionLost
from deploy.demo.kube import Kube, Object
from tests.e2e import clients
from tests.e2e.conftest import Run
from tests.e2e.consumers import CONNECTED, CONNECTED_BY_FIELD, STORAGE, UNCONNECTED, Consumer
from tests.e2e.namespaces import KINDS
from tests.e2e.storages import read

pytestmark = pytest.mark.usefixtures("consumers")
HOST = f"{STORAGE}-valkey.{KINDS}.svc"
CONNECTION = {"secretRef": {"name": f"{STORAGE}-connection"}}
connected = pytest.mark.parametrize("consumer", CONNECTED, ids=lambda consumer: consumer.name)
paired = pytest.mark.parametrize("consumer", CONNECTED_BY_FIELD, ids=lambda consumer: consumer.name)


@connected
def test_toolhives_own_field_has_the_address_of_the_store(kube: Kube, consumer: Consumer) -> None:
    assert read(kube, consumer.resource, consumer.name, KINDS)["spec"]["sessionStorage"] == {
        "provider": "redis",
        "address": f"{HOST}:6379",
        "db": 0,
        "keyPrefix": consumer.prefix,
        "passwordRef": {"name": f"{STORAGE}-connection", "key": "REDIS_PASSWORD"},
    }


@connected
def test_a_consumers_proxies_run_with_the_connection_in_their_environment(kube: Kube, consumer: Consumer) -> None:
    consumer.proxies(kube).await_ready(consumer.replicas)
    deployment = read(kube, "deployment", consumer.name, KINDS)
    assert deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] == [CONNECTION]
    for pod in consumer.proxies(kube).pods():
        assert pod["spec"]["containers"][0]["envFrom"] == [CONNECTION]


@pytest.mark.parametrize("consumer", UNCONNECTED, ids=lambda consumer: consumer.name)
def test_a_consumer_without_a_reference_has_nothing_of_ours(kube: Kube, consumer: Consumer) -> None:
    consumer.proxies(kube).await_ready(consumer.replicas)
    stored = read(kube, consumer.resource, consumer.name, KINDS)
    deployment = read(kube, "deployment", consumer.name, KINDS)
    assert "sessionStorage" not in stored["spec"]
    assert "envFrom" not in deployment["spec"]["template"]["spec"]["containers"][0]
    assert not {key for obj in (stored, deployment) for key in annotated(obj) if "session-storage" in key}


def annotated(obj: Object) -> set[str]:
    return set(obj["metadata"].get("annotations", {}))


@paired
def test_a_session_of_one_proxy_continues_through_the_other(kube: Kube, consumer: Consumer) -> None:
    proxies = consumer.proxies(kube)
    one, other = proxies.await_ready(2)
    session, answered = proxies.open(one, consumer.tool)
    assert [proxies.call(pod, session, consumer.tool) for pod in (other, one)] == [answered, answered]


@paired
def test_a_session_outlives_all_its_proxies(kube: Kube, consumer: Consumer) -> None:
    proxies = consumer.proxies(kube)
    session, answered = proxies.open(proxies.await_ready(2)[0], consumer.tool)
    assert [proxies.call(pod, session, consumer.tool) for pod in proxies.restart()] == [answered, answered]


@paired
def test_a_session_that_nobody_opened_is_refused(kube: Kube, consumer: Consumer) -> None:
    proxies = consumer.proxies(kube)
    one, _ = proxies.await_ready(2)
    session, _ = proxies.open(one, consumer.tool)
    with pytest.raises(SessionLost):
        proxies.call(one, dataclasses.replace(session, id=str(uuid.uuid4())), consumer.tool)


def test_every_consumer_keeps_its_sessions_under_a_prefix_of_its_own(run: Run) -> None:
    run.kube.apply(clients.client("reader", KINDS, run.images, f"{STORAGE}-connection"))
    clients.await_client(run.kube, "reader", KINDS)
    found = clients.keys(run.kube, "reader", KINDS, HOST)
    of_consumers = {consumer.name: [key for key in found if key.startswith(consumer.prefix)] for consumer in CONNECTED}
    assert sum(map(len, of_consumers.values())) == len(found), "a key has no consumer's prefix"
    assert all(of_consumers[consumer.name] for consumer in CONNECTED_BY_FIELD)
