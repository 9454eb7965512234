"""A session continues, whatever happens to the proxies and to the store."""

from __future__ import annotations

import dataclasses
import uuid

import pytest

from deploy.demo import storages
from deploy.demo.errors import SessionLost
from deploy.demo.kube import Kube
from deploy.demo.proxies import Proxies
from tests.e2e.namespaces import SERVERS


@pytest.fixture
def proxies(servers: dict[str, Proxies]) -> Proxies:
    servers["second"].await_ready(2)
    return servers["second"]


def test_a_session_of_one_proxy_continues_through_the_other(proxies: Proxies) -> None:
    one, other = proxies.await_ready(2)
    session, count = proxies.open_session(one)
    assert [count, proxies.count(other, session), proxies.count(one, session)] == [1, 2, 3]


def test_sessions_do_not_mix(proxies: Proxies) -> None:
    one, other = proxies.await_ready(2)
    mine, _ = proxies.open_session(one)
    yours, count = proxies.open_session(other)
    assert mine.id != yours.id
    assert [count, proxies.count(one, yours), proxies.count(other, mine)] == [1, 2, 2]


def test_a_session_that_nobody_opened_is_refused(proxies: Proxies) -> None:
    one, _ = proxies.await_ready(2)
    session, _ = proxies.open_session(one)
    with pytest.raises(SessionLost):
        proxies.count(one, dataclasses.replace(session, id=str(uuid.uuid4())))


def test_a_session_outlives_all_its_proxies(proxies: Proxies) -> None:
    session, _ = proxies.open_session(proxies.await_ready(2)[0])
    assert [proxies.count(pod, session) for pod in proxies.restart()] == [2, 3]


def test_a_session_outlives_a_crash_of_a_medium_store(proxies: Proxies, kube: Kube) -> None:
    session, _ = proxies.open_session(proxies.await_ready(2)[0])
    storages.kill_valkey(kube, SERVERS, "first")
    assert [proxies.count(pod, session) for pod in proxies.await_ready(2)] == [2, 3]


def test_a_session_outlives_the_stateful_set_of_a_medium_store(proxies: Proxies, kube: Kube) -> None:
    """Data belongs to the storage: the only instance goes on until another one has taken over with the data."""
    session, _ = proxies.open_session(proxies.await_ready(2)[0])
    before = storages.primary_pod(kube, SERVERS, "first") or {}
    workload = before["metadata"]["name"].removesuffix("-0")
    kube.run("delete", "statefulset", workload, "--wait=false", namespace=SERVERS)
    storages.await_revival(kube, SERVERS, "first", before["metadata"]["uid"])
    assert [proxies.count(pod, session) for pod in proxies.await_ready(2)] == [2, 3]
