"""What the observer reads, and what it makes of a node's answers."""

from __future__ import annotations

import pytest

from reconciler.external import ExternalFacts
from reconciler.holders import Holders
from reconciler.nodes import NodeReport
from reconciler.observe import CHILD_RESOURCES, Observed, Observer, Outlook, child_names
from shared import credentials, errors, external_store, valkey_node
from shared.consumer_index import ConsumerIndex
from shared.endpoint import Endpoint
from shared.informer import Informer
from shared.resources import PODS, SECRETS, SESSION_STORAGES, Object
from shared.valkey_node import Login, NodeFacts
from tests.fakes import FakeApi
from tests.simulated import NAMESPACE, PRIMARY

OUTLOOK = Outlook(lambda: True, lambda: True, lambda _: False)
OPERATOR = Login("operator", "p" * 32)
PASSWORDS = dict.fromkeys(credentials.PASSWORD_KEYS, "p" * 32)
AUTH: Object = {
    "metadata": {"name": "mine-auth", "namespace": NAMESPACE},
    "data": credentials.encoded(PASSWORDS),
}
POD: Object = {
    "metadata": {"name": "mine-valkey-0-0", "namespace": NAMESPACE, "resourceVersion": "1"},
    "status": {"phase": "Running", "podIP": "10.1.0.1"},
}


class Nodes:
    """Answers in place of Valkey, and keeps who asked."""

    def __init__(self) -> None:
        self.facts = PRIMARY
        self.error: errors.SessionStoreError | None = None
        self.refused_user = ""
        self.logins: list[str] = []

    async def observe(self, host: str, port: int, login: Login) -> NodeFacts:
        await self.ping(host, port, login)
        return self.facts

    async def ping(self, host: str, port: int, login: Login) -> None:
        assert (host, port) == ("10.1.0.1", 6379)
        self.logins.append(login.user)
        if self.error is not None:
            raise self.error
        if login.user == self.refused_user:
            raise errors.StoreRefused(login.user)


@pytest.fixture(name="nodes")
def nodes_fixture(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    nodes = Nodes()
    monkeypatch.setattr(valkey_node, "observe", nodes.observe)
    monkeypatch.setattr(valkey_node, "ping", nodes.ping)
    return nodes


async def observed(api: FakeApi, spec: Object | None = None, *cached: Object) -> Observed:
    caches = {resource.plural: Informer(api, resource) for resource in (*CHILD_RESOURCES, PODS)}
    for obj in cached:
        caches[PODS.plural].remember(obj)
    storage = {"metadata": {"name": "mine", "namespace": NAMESPACE}, "spec": spec or {}}
    return await Observer(api, caches, ConsumerIndex(), Holders(api, lambda _: None), OUTLOOK).observe(storage)


async def node(*cached: Object) -> NodeReport:
    api = FakeApi()
    await api.create(SECRETS, AUTH)
    return (await observed(api, None, *cached)).node


async def test_children_that_no_cache_knows_are_read_live() -> None:
    api = FakeApi()
    for resource in CHILD_RESOURCES:
        for name in child_names(resource, "mine"):
            await api.create(resource, {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {}})
    found = await observed(api)
    assert len(found.children) == 7
    assert found.child(SECRETS, "mine-auth") is not None


async def test_a_failed_read_is_no_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> Object:
        raise errors.Unavailable("503")

    api = FakeApi()
    monkeypatch.setattr(api, "get", fail)
    with pytest.raises(errors.Unavailable):
        await observed(api)


async def test_a_node_is_asked_as_operator_and_as_consumer(nodes: Nodes) -> None:
    assert await node(POD) == NodeReport(POD, PRIMARY, operator=OPERATOR)
    assert nodes.logins == ["operator", "default"]


async def test_a_node_that_still_loads_is_asked_no_more(nodes: Nodes) -> None:
    """Whoever loads answers INFO, and refuses everything else."""
    nodes.facts = NodeFacts("master", "9.1.2", is_loading=True)
    assert await node(POD) == NodeReport(POD, nodes.facts, operator=OPERATOR)
    assert nodes.logins == ["operator"]


@pytest.mark.parametrize("user", ["operator", "default"])
async def test_a_refused_credential_is_a_problem_whichever_it_is(nodes: Nodes, user: str) -> None:
    nodes.refused_user = user
    facts = None if user == "operator" else PRIMARY
    assert await node(POD) == NodeReport(POD, facts, "refused", user, OPERATOR)


async def test_a_node_that_does_not_answer_is_unreachable(nodes: Nodes) -> None:
    nodes.error = errors.StoreUnreachable("no route")
    assert await node(POD) == NodeReport(POD, None, "unreachable", "no route")


@pytest.mark.usefixtures("nodes")
async def test_a_pod_without_an_address_is_not_dialled() -> None:
    starting = POD | {"status": {}}
    assert await node(starting) == NodeReport(starting)
    assert await node() == NodeReport()


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed", "Unknown"])
@pytest.mark.usefixtures("nodes")
async def test_a_pod_that_has_ended_is_not_dialled_for_its_address_may_be_anothers_by_now(phase: str) -> None:
    ended = POD | {"status": {"phase": phase, "podIP": "10.1.0.1"}}
    assert await node(ended) == NodeReport(ended)


async def test_only_the_storage_that_is_stored_now_is_current() -> None:
    api = FakeApi()
    storage = await api.create(SESSION_STORAGES, {"metadata": {"name": "mine", "namespace": NAMESPACE}, "spec": {}})
    observer = Observer(api, {}, ConsumerIndex(), Holders(api, lambda _: None), OUTLOOK)
    assert await observer.is_current(storage)
    assert not await observer.is_current({"metadata": storage["metadata"] | {"uid": "of-its-predecessor"}})
    await api.delete(SESSION_STORAGES, NAMESPACE, "mine")
    assert not await observer.is_current(storage)


@pytest.mark.usefixtures("nodes")
async def test_no_password_is_in_the_text_of_what_was_observed() -> None:
    api = FakeApi()
    await api.create(SECRETS, AUTH)
    text = repr(await observed(api))
    assert not [value for value in AUTH["data"].values() if value in text]


@pytest.mark.usefixtures("nodes")
async def test_without_passwords_nobody_is_dialled() -> None:
    assert (await observed(FakeApi(), None, POD)).node == NodeReport(POD)


async def test_of_an_external_storage_only_its_secret_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    logins: list[external_store.Credentials] = []

    async def dial(endpoint: Endpoint, login: external_store.Credentials) -> external_store.Report:
        logins.append(login)
        return external_store.Report(external_store.Outcome.OK, endpoint.host)

    monkeypatch.setattr(external_store, "dial", dial)
    api = FakeApi()
    content = credentials.encoded({"password": "theirs", "username": "me"})
    theirs = await api.create(SECRETS, {"metadata": {"name": "theirs", "namespace": NAMESPACE}, "data": content})
    await api.create(SECRETS, AUTH)
    found = await observed(api, {"external": {"url": "redis://elsewhere", "secretRef": "theirs"}})
    report = external_store.Report(external_store.Outcome.OK, "elsewhere")
    assert found.external == ExternalFacts(theirs, report, serves_tls=True)
    assert found.children == {}
    assert (await observed(api, {"external": {"url": "redis://elsewhere"}})).external == ExternalFacts(
        None, report, serves_tls=True
    )
    missing = await observed(api, {"external": {"url": "redis://elsewhere", "secretRef": "no"}})
    assert missing.external == ExternalFacts(None, None, serves_tls=True)
    assert logins == [external_store.Credentials("me", "theirs"), external_store.Credentials()]
    assert "theirs" not in repr(logins)
