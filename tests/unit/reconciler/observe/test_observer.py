"""What the observer reads, and how it judges an instance's answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.controllers.auth_servers import AuthServers
from reconciler.credentials import identities
from reconciler.credentials.login import Credentials, Login
from reconciler.observe import observer as observer_module
from reconciler.observe.credential_rollouts import CredentialRollouts
from reconciler.observe.kubernetes_warnings import KubernetesWarnings
from reconciler.observe.last_seen import LastSeen
from reconciler.observe.observer import Observer
from reconciler.observe.referenced_secrets import ReferencedSecrets
from reconciler.observe.surroundings import Surroundings
from reconciler.state.credential_rollout import CredentialRollout
from reconciler.state.external_secret import ExternalConnection, SecretProblem
from reconciler.state.external_store import DialResult, ExternalFacts, Outcome
from reconciler.state.instance import Instance, InstanceFacts
from reconciler.state.owned_objects import CHILD_RESOURCES, child_names
from reconciler.state.primary_service import SERVICE_OF, WRITTEN_BY
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.storage_state import StorageState
from reconciler.valkey import users
from reconciler.valkey.external_store import Dial, ExternalStores
from shared import errors, names
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.consumers.usage_index import ConsumerIndex
from shared.kubernetes.informer import Informer
from shared.objects.resources import (
    CORE_EVENTS,
    ENDPOINT_SLICES,
    PODS,
    SECRETS,
    SERVICES,
    SESSION_STORAGES,
    STATEFUL_SETS,
    VOLUME_CLAIMS,
    Object,
)
from shared.session_storage.endpoint import Endpoint
from tests.support.fakes import FakeApi
from tests.support.storages import HOSTS

NAMESPACE = "team"
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def surroundings(api: FakeApi, dial: Dial | None = None) -> Surroundings:
    return Surroundings(
        read_secret=ReferencedSecrets(api, lambda _: None).read,
        serves_tls=lambda: True,
        knows_consumers=lambda: True,
        has_auth_data=lambda _, __: False,
        is_rotation_due=lambda _: False,
        silent_for=lambda _: 3.5,
        outlives_at=lambda _, __: "",
        nodes=lambda: HOSTS,
        may_update=lambda key: key != (NAMESPACE, "mine"),
        last_seen=LastSeen(lambda: 0.0),
        dial=dial or ExternalStores().dial,
        warning_about=KubernetesWarnings(api, lambda: 0.0).about,
    )


PRIMARY = InstanceFacts(role="master", is_loading=False)
REPLICA = replace(PRIMARY, role="slave")
OPERATOR = Login("operator", "p" * 32)
PASSWORDS = dict.fromkeys(identities.PASSWORD_KEYS, "p" * 32)
AUTH: Object = {
    "metadata": {"name": "mine-auth", "namespace": NAMESPACE},
    "data": identities.encoded(PASSWORDS),
}
SET: Object = {
    "kind": "StatefulSet",
    "metadata": {
        "name": "mine-valkey-0",
        "namespace": NAMESPACE,
        "resourceVersion": "1",
        "creationTimestamp": "2026-11-23T10:00:00Z",
        "labels": {"toolhive.stacklok.dev/storage": "mine"},
    },
    "spec": {},
}
POD: Object = {
    "kind": "Pod",
    "metadata": {
        "name": "mine-valkey-0-0",
        "namespace": NAMESPACE,
        "uid": "uid-0",
        "resourceVersion": "1",
        "creationTimestamp": "2026-11-23T10:00:00Z",
    },
    "status": {"phase": "Running", "podIP": "10.1.0.1"},
}


CACHED = (*CHILD_RESOURCES, PODS, VOLUME_CLAIMS)


class Instances:
    """Answers in place of Valkey, and keeps which users asked."""

    def __init__(self) -> None:
        self.facts = PRIMARY
        self.error: errors.SessionStoreError | None = None
        self.refused_user = ""
        self.logins: list[str] = []

    async def observe(self, host: str, port: int, login: Login) -> InstanceFacts:
        await self.ping(host, port, login)
        return self.facts

    async def ping(self, host: str, port: int, login: Login) -> None:
        assert (host, port) == ("10.1.0.1", 6379)
        self.logins.append(login.user)
        if self.error is not None:
            raise self.error
        if login.user == self.refused_user:
            raise errors.StoreRefused(login.user)


@pytest.fixture(name="instances")
def instances_fixture(monkeypatch: pytest.MonkeyPatch) -> Instances:
    instances = Instances()
    monkeypatch.setattr(users, "observe", instances.observe)
    monkeypatch.setattr(users, "ping", instances.ping)
    return instances


def none(api: FakeApi) -> AuthServers:
    return AuthServers({resource.kind: Informer(api, resource) for resource in CONSUMER_RESOURCES})


def storage_of(spec: Object) -> Object:
    return {"metadata": {"name": "mine", "namespace": NAMESPACE}, "spec": spec}


def observer_of(
    api: FakeApi, *cached: Object, rollouts: CredentialRollouts | None = None, dial: Dial | None = None
) -> Observer:
    caches = {resource.plural: Informer(api, resource) for resource in CACHED}
    by_kind = {resource.kind: caches[resource.plural] for resource in CACHED}
    for obj in cached:
        by_kind[obj["kind"]].remember(obj)
    rollouts = rollouts or CredentialRollouts(api, lambda _: None, none(api))
    return Observer(api, caches, ConsumerIndex(), rollouts, surroundings(api, dial))


async def observed(api: FakeApi, spec: Object | None = None, *cached: Object, dial: Dial | None = None) -> StorageState:
    return await observer_of(api, *cached, dial=dial).observe(storage_of(spec or {}))


def refusal(about: str, reason: str, words: str) -> Object:
    return {
        "metadata": {"name": f"{about}.{reason}", "namespace": NAMESPACE},
        "type": "Warning",
        "reason": reason,
        "message": words,
        "involvedObject": {"uid": about},
    }


async def instance(*cached: Object) -> Instance:
    api = FakeApi()
    await api.create(SECRETS, AUTH)
    return (await observed(api, None, *cached, SET)).instance(0)


ALL = {(resource.plural, name) for resource in CHILD_RESOURCES for name in child_names(resource, "mine")}
VITAL = {("secrets", "mine-auth"), ("services", "mine-valkey"), ("endpointslices", "mine-valkey")}


async def api_with_all() -> FakeApi:
    """Store an object under the name of each child; no cache knows them."""
    api = FakeApi()
    for resource in CHILD_RESOURCES:
        for name in child_names(resource, "mine"):
            obj = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {}, "addressType": "IPv4"}
            await api.create(resource, obj)
    return api


async def test_what_decisions_rest_on_is_read_live_if_no_cache_knows_it_and_nothing_else() -> None:
    found = await observed(await api_with_all())
    assert found.children.keys() == VITAL
    assert found.child(SECRETS, "mine-auth") is not None


async def test_before_the_reconciler_creates_anything_it_finds_whatever_has_a_childs_name() -> None:
    api = await api_with_all()
    observer = observer_of(api)
    state = await observer.observe(storage_of({}))
    await api.create(STATEFUL_SETS, {"metadata": {"name": "mine-valkey-7", "namespace": NAMESPACE}, "spec": {}})
    overlooked = await observer.overlooked(state, [(STATEFUL_SETS, "mine-valkey-7"), (STATEFUL_SETS, "mine-valkey-8")])
    assert overlooked.keys() == (ALL - VITAL) | {("statefulsets", "mine-valkey-7")}
    seen = (await observer.observe(storage_of({"size": "large"}), overlooked)).children.keys()
    assert seen == ALL | {("statefulsets", "mine-valkey-7")}


async def test_of_a_storage_that_names_another_store_only_the_connection_secret_matters() -> None:
    observer = observer_of(await api_with_all())
    state = await observer.observe(storage_of({"external": {"url": "redis://127.0.0.1:1"}}))
    assert state.children == {}
    assert (await observer.overlooked(state, [])).keys() == {("secrets", "mine-connection")}


@pytest.mark.parametrize("is_terminating", [True, False])
async def test_nothing_is_read_live_of_a_storage_about_which_nothing_is_decided(*, is_terminating: bool) -> None:
    obj = storage_of({} if is_terminating else {"size": "huge"})
    if is_terminating:
        obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert (await observer_of(await api_with_all()).observe(obj)).children == {}


async def test_a_slice_with_our_labels_and_another_name_does_not_say_who_is_primary() -> None:
    api = FakeApi()
    labels = {SERVICE_OF: "mine-valkey", WRITTEN_BY: names.MANAGED_BY, names.LABEL_MANAGED_BY: names.MANAGED_BY}
    made = {}
    for name, primary in (("mine-valkey", "0"), ("mine-valkey-of-a-stranger", "1")):
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels | {names.LABEL_INSTANCE: primary}}
        made[name] = await api.create(ENDPOINT_SLICES, {"metadata": metadata, "addressType": "IPv4"})
    service: Object = {"metadata": {"name": "mine-valkey", "namespace": NAMESPACE}, "spec": {"ipFamilies": ["IPv4"]}}
    await api.create(SERVICES, service)
    found = await observed(api, None, *made.values())
    assert found.primary_service is not None
    assert found.primary_service.primary == 0
    assert [each["metadata"]["name"] for each in found.stray_slices] == ["mine-valkey-of-a-stranger"]


async def test_instances_are_those_that_have_a_stateful_set_whatever_the_size_is() -> None:
    api = FakeApi()
    made = [{**SET, "metadata": SET["metadata"] | {"name": f"mine-valkey-{index}"}} for index in (1, 12, 3)]
    others: Object = {**SET, "metadata": SET["metadata"] | {"name": "others-valkey-7", "labels": {}}}
    for workload in (*made, others):
        await api.create(STATEFUL_SETS, workload)
    claim: Object = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-mine-valkey-12-0", "namespace": NAMESPACE},
    }
    claim["metadata"]["resourceVersion"] = "1"
    found = await observed(api, {"size": "large"}, *made, others, claim)
    assert [instance.index for instance in found.instances] == [1, 3, 12]
    assert found.claims == {12: claim}
    assert found.instance(99) == Instance(99)


def claim(index: int, **labels: str) -> Object:
    metadata = {"name": f"data-mine-valkey-{index}-0", "namespace": NAMESPACE, "resourceVersion": "1", "labels": labels}
    return {"kind": "PersistentVolumeClaim", "metadata": metadata}


async def test_a_claim_that_a_new_instance_would_mount_is_looked_up_past_the_cache() -> None:
    """The cache holds only what carries our label, and a StatefulSet takes any claim that has the right name."""
    api = FakeApi()
    planted = await api.create(VOLUME_CLAIMS, claim(2))
    observer = observer_of(api, SET)
    state = await observer.observe(storage_of({"size": "large"}))
    assert state.claims == {}
    overlooked = await observer.overlooked(state, [(VOLUME_CLAIMS, "data-mine-valkey-2-0")])
    found = await observer.observe(storage_of({"size": "large"}), overlooked)
    assert found.claims == {2: planted}
    assert found.children.keys() == state.children.keys()


async def test_claims_of_instances_that_are_gone_are_found_by_their_label() -> None:
    ours = {names.LABEL_STORAGE: "mine"}
    other: Object = {**claim(3), "metadata": claim(3)["metadata"] | {"name": "data-mine-valkey-x-0", "labels": ours}}
    known = (claim(4, **ours), claim(5), claim(6, **{names.LABEL_STORAGE: "other"}), other)
    for own in ((), (SET,)):
        assert (await observed(FakeApi(), {"size": "medium"}, *known, *own)).claims == {4: known[0]}


@pytest.mark.parametrize(("size", "count"), [("small", 1), ("large", 3)])
async def test_a_set_that_no_cache_knows_yet_is_read_live(size: str, count: int) -> None:
    """The watch may be late, and the reconciler would create a set again that it takes for missing."""
    api = FakeApi()
    for index in range(5):
        await api.create(STATEFUL_SETS, {**SET, "metadata": SET["metadata"] | {"name": f"mine-valkey-{index}"}})
    assert [instance.index for instance in (await observed(api, {"size": size})).instances] == list(range(count))


async def test_the_observation_has_further_facts_of_the_storage() -> None:
    found = await observed(FakeApi())
    assert (found.nodes, found.may_update, found.is_rotation_due) == (HOSTS, False, False)


async def test_a_failed_read_does_not_count_as_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> Object:
        raise errors.Unavailable("503")

    api = FakeApi()
    monkeypatch.setattr(api, "get", fail)
    with pytest.raises(errors.Unavailable):
        await observed(api)


class Unreadable(CredentialRollouts):
    """Cannot read what the users of a credential do, or not for long."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.asked = 0
        self._hangs = hangs

    async def read(self, *_: object, **__: object) -> tuple[CredentialRollout, ...]:
        self.asked += 1
        if self._hangs:
            await asyncio.Event().wait()
        raise errors.Unavailable("429", 1.0)


def rotating() -> Object:
    record = RotationRecord().start("now", "r1", NOW).publish(NOW)
    return {**AUTH, "metadata": {**AUTH["metadata"], "annotations": record.annotations}}


async def test_a_rotation_whose_consumers_cannot_be_read_keeps_nothing_else_from_going_on(instances: Instances) -> None:
    api, rollouts = FakeApi(), Unreadable()
    await api.create(SECRETS, rotating())
    state = await observer_of(api, POD, SET, rollouts=rollouts).observe(storage_of({}))
    assert (rollouts.asked, state.rollouts, state.rotation.is_under_way) == (1, None, True)
    assert state.instance(0).facts == instances.facts


async def test_a_failover_does_not_wait_for_what_the_api_server_says_of_consumers(
    instances: Instances, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer_module, "ON_CONSUMERS_SECONDS", 0.01)
    instances.error = errors.StoreDown("refused")
    api, rollouts = FakeApi(), Unreadable(hangs=True)
    await api.create(SECRETS, rotating())
    selector = {"toolhive.stacklok.dev/node": "0"}
    service: Object = {"metadata": {"name": "mine-valkey", "namespace": NAMESPACE}, "spec": {"selector": selector}}
    await api.create(SERVICES, service)
    state = await observer_of(api, POD, SET, rollouts=rollouts).observe(storage_of({}))
    assert (rollouts.asked, state.rollouts) == (1, None)
    assert state.instance(0).problem == "down"


async def test_an_instance_is_asked_as_operator_and_as_consumer(instances: Instances) -> None:
    assert await instance(POD) == Instance(0, POD, PRIMARY, operator=OPERATOR)
    assert instances.logins == ["operator", "default"]


async def test_an_instance_that_still_loads_is_not_asked_as_consumer(instances: Instances) -> None:
    """An instance that loads answers INFO and refuses everything else."""
    instances.facts = InstanceFacts("master", is_loading=True)
    assert await instance(POD) == Instance(0, POD, instances.facts, operator=OPERATOR)
    assert instances.logins == ["operator"]


async def test_a_replica_is_not_asked_as_a_consumer(instances: Instances) -> None:
    """A replica that is not in sync refuses consumers' commands."""
    instances.facts = REPLICA
    assert (await instance(POD)).facts == REPLICA
    assert instances.logins == ["operator"]


async def test_an_instance_that_refuses_connections_is_down(instances: Instances) -> None:
    instances.error = errors.StoreDown("refused")
    report = await instance(POD)
    assert (report.problem, report.accepts_operator, report.silent_for) == ("down", False, 3.5)


@pytest.mark.parametrize("user", ["operator", "default"])
async def test_a_refused_credential_is_a_problem_whichever_it_is(instances: Instances, user: str) -> None:
    instances.refused_user = user
    facts = None if user == "operator" else PRIMARY
    assert await instance(POD) == Instance(0, POD, facts, "refused", user, OPERATOR)


async def test_an_instance_that_does_not_answer_is_unreachable(instances: Instances) -> None:
    instances.error = errors.StoreUnreachable("no route")
    assert await instance(POD) == Instance(0, POD, None, "unreachable", "no route", silent_for=3.5)


@pytest.mark.usefixtures("instances")
async def test_a_pod_without_an_address_is_not_dialled() -> None:
    starting = POD | {"status": {}}
    assert await instance(starting) == Instance(0, starting, silent_for=3.5)
    assert await instance() == Instance(0)


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed", "Unknown"])
@pytest.mark.usefixtures("instances")
async def test_a_pod_that_has_ended_is_not_dialled_because_another_may_have_its_address(phase: str) -> None:
    ended = POD | {"status": {"phase": phase, "podIP": "10.1.0.1"}}
    assert await instance(ended) == Instance(0, ended, silent_for=3.5)


async def test_only_the_presently_stored_storage_is_current() -> None:
    api = FakeApi()
    storage = await api.create(SESSION_STORAGES, {"metadata": {"name": "mine", "namespace": NAMESPACE}, "spec": {}})
    observer = observer_of(api)
    assert await observer.is_current(storage)
    assert not await observer.is_current({"metadata": storage["metadata"] | {"uid": "of-its-predecessor"}})
    await api.delete(SESSION_STORAGES, NAMESPACE, "mine")
    assert not await observer.is_current(storage)


@pytest.mark.usefixtures("instances")
async def test_no_password_is_in_the_text_of_what_was_observed() -> None:
    api = FakeApi()
    await api.create(SECRETS, AUTH)
    text = repr(await observed(api))
    assert not [value for value in AUTH["data"].values() if value in text]


@pytest.mark.usefixtures("instances")
async def test_without_passwords_no_instance_is_dialled() -> None:
    assert (await observed(FakeApi(), None, POD, SET)).instance(0) == Instance(0, POD, silent_for=3.5)


class Stores:
    """Answers in place of users' own stores, and keeps who logged in."""

    def __init__(self, **outcomes: Outcome) -> None:
        self._outcomes = outcomes
        self.logins: list[Credentials] = []

    async def dial(self, namespace: str, endpoint: Endpoint, login: Credentials, deadline: float) -> DialResult:
        assert namespace == NAMESPACE
        assert 0 < deadline - asyncio.get_running_loop().time() <= 5
        self.logins.append(login)
        return DialResult(self._outcomes.get(login.password, Outcome.OK), endpoint.host)


async def test_of_an_external_storage_only_its_secret_is_read() -> None:
    stores, api = Stores(), FakeApi()
    content = identities.encoded({"password": "theirs", "username": "me"})
    await api.create(SECRETS, {"metadata": {"name": "theirs", "namespace": NAMESPACE}, "data": content})
    await api.create(SECRETS, AUTH)
    found = await observed(api, {"external": {"url": "redis://elsewhere", "secretRef": "theirs"}}, dial=stores.dial)
    host = f"elsewhere.{NAMESPACE}.svc"
    report, endpoint = DialResult(Outcome.OK, host), Endpoint(host, 6379, 0, is_tls=False)
    theirs_login = Credentials("me", "theirs")
    assert found.external == ExternalFacts(ExternalConnection(endpoint, theirs_login), dialled=report, serves_tls=True)
    assert found.children == {}
    open_to_all = await observed(api, {"external": {"url": "redis://elsewhere"}}, dial=stores.dial)
    assert open_to_all.external == ExternalFacts(ExternalConnection(endpoint), dialled=report, serves_tls=True)
    missing = await observed(api, {"external": {"url": "redis://elsewhere", "secretRef": "no"}}, dial=stores.dial)
    problem = SecretProblem(
        "SecretNotFound", "Secret no does not exist: create it in this namespace with the key password"
    )
    assert missing.external == ExternalFacts(problem=problem, serves_tls=True)
    assert stores.logins == [theirs_login, Credentials()]
    assert "theirs" not in repr(stores.logins)


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_the_former_credential_is_tried_only_where_it_may_fare_better(outcome: Outcome) -> None:
    stores, api = Stores(new=outcome), FakeApi()
    published = {"REDIS_PASSWORD": "old", "REDIS_URL": "redis://:old@elsewhere"}
    for name, content in (("theirs", {"password": "new"}), ("mine-connection", published)):
        data = identities.encoded(content)
        await api.create(SECRETS, {"metadata": {"name": name, "namespace": NAMESPACE}, "data": data})
    storage = storage_of({"external": {"url": "redis://elsewhere", "secretRef": "theirs"}})
    storage["status"] = {"connectionSecret": "mine-connection"}
    found = await observer_of(api, dial=stores.dial).observe(storage)
    assert found.external is not None
    is_tried = outcome in {Outcome.AUTH, Outcome.TLS}
    assert [login.password for login in stores.logins] == ["new", "old"][: 1 + is_tried]
    assert (found.external.dialled_as_published is not None) is is_tried


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("stated", [None, "rediss://new.example.com"], ids=["by a Secret", "by a URL"])
async def test_the_former_place_is_tried_whatever_is_wrong_with_the_next_one(
    stated: str | None, outcome: Outcome
) -> None:
    stores, api = Stores(new=outcome), FakeApi()
    for name, content in (
        ("theirs", {"host": "new.example.com", "password": "new"}),
        ("mine-connection", {"REDIS_URL": "rediss://:old@old.example.com:6379", "REDIS_PASSWORD": "old"}),
    ):
        data = identities.encoded(content)
        await api.create(SECRETS, {"metadata": {"name": name, "namespace": NAMESPACE}, "data": data})
    url = {"url": stated} if stated else {}
    storage = storage_of({"external": {**url, "secretRef": {"name": "theirs"}}})
    storage["status"] = {"connectionSecret": "mine-connection"}
    found = await observer_of(api, dial=stores.dial).observe(storage)
    assert found.external is not None
    former = DialResult(Outcome.OK, "old.example.com")
    assert found.external.dialled_as_published == (None if outcome is Outcome.OK else former)


@pytest.mark.parametrize("handed_out", ["mine-connection", None])
async def test_what_consumers_have_of_an_external_storage_is_found_without_its_labels(handed_out: str | None) -> None:
    api = FakeApi()
    content = identities.encoded({"REDIS_PASSWORD": "old", "REDIS_URL": "redis://:old@elsewhere"})
    await api.create(SECRETS, {"metadata": {"name": "mine-connection", "namespace": NAMESPACE}, "data": content})
    storage = storage_of({"external": {"url": "redis://elsewhere"}}) | {"status": {"connectionSecret": handed_out}}
    found = await observer_of(api, dial=Stores().dial).observe(storage)
    assert found.external is not None
    assert (found.external.published is not None) is (handed_out is not None)


STUCK: Object = {
    **POD,
    "spec": {"nodeName": "host-0"},
    "status": {"phase": "Pending"},
}
CLAIM: Object = {
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data-mine-valkey-0-0", "namespace": NAMESPACE, "uid": "uid-c", "resourceVersion": "1"},
    "status": {"phase": "Pending"},
}


async def warned(*cached: Object) -> str:
    """Observe an instance while there are warnings about its StatefulSet, its claim and its pod."""
    api = FakeApi()
    await api.create(SECRETS, AUTH)
    for event in (
        refusal("uid-s", "FailedCreate", "failed error: quota"),
        refusal("uid-c", "ProvisioningFailed", "no disk"),
        refusal("uid-0", "FailedMount", "no secret"),
    ):
        await api.create(CORE_EVENTS, event)
    workload = {**SET, "metadata": SET["metadata"] | {"uid": "uid-s"}}
    found = (await observed(api, None, workload, *cached)).instance(0).warning
    return found.message if found is not None else ""


async def test_a_stateful_set_that_makes_no_pod_is_asked_about() -> None:
    assert await warned() == "Kubernetes refuses the pod of mine-valkey-0: quota"


async def test_a_pod_that_does_not_start_is_asked_about_or_the_claim_that_it_waits_for() -> None:
    bound = {**CLAIM, "status": {"phase": "Bound"}}
    assert await warned(STUCK, bound) == "mine-valkey-0-0 waits: no secret"
    assert await warned(STUCK, CLAIM) == "data-mine-valkey-0-0 waits: no disk"


async def test_nobody_asks_about_a_pod_that_runs_or_says_itself_why_it_does_not(instances: Instances) -> None:
    instances.facts = PRIMARY
    homeless = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}
    unpulled = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}
    for pod in (POD, STUCK | {"status": homeless}, STUCK | {"status": unpulled}):
        assert await warned(pod) == ""
