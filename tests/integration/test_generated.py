"""Generated consumers on a real API server with the real webhook: the API server stores what the webhook decides.

The webhook never sees kube-system, so a dry run there shows what the API server alone does to an object: which fields
it prunes, and which it fills in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonpatch
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.consumers.targets import Target
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.errors import Forbidden, Rejected
from shared.kubernetes.client import Cluster
from shared.kubernetes.transport import Request
from shared.objects.resources import Key, Object, Resource, key_of
from tests.integration.consumers import await_injection_of_all
from tests.integration.control_plane import Kubectl
from tests.integration.mcpservers import server
from tests.integration.processes import Process, eventually
from tests.integration.storages import read, storage
from tests.support.generated import SHARED, changes, consumers, made_up_records
from webhook.admission.consumers import ConsumerWrite, decide
from webhook.admission.review import AdmissionRequest, Deny, Patch

CREATED = 300
UPDATED = 150
HOME = "generated"
UNSEEN = "kube-system"
DRY_RUN = {"dryRun": "All"}
RESOURCES = {resource.kind: resource for resource in CONSUMER_RESOURCES}
EXTERNAL = {"url": "redis://there:6379", "secretRef": "absent"}
GIVEN = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "namespace")


@pytest.fixture(scope="module")
def known(processes: dict[str, Process], kubectl: Kubectl) -> Iterator[dict[Key, Object]]:
    """Create the storages to which generated consumers refer, and wait until the webhook knows them."""
    await_injection_of_all(kubectl)
    for namespace in (HOME, SHARED.namespace):
        kubectl("create", "namespace", namespace)
    kubectl.apply(
        storage("theirs", HOME, external=EXTERNAL),
        storage(SHARED.name, SHARED.namespace, external=EXTERNAL, allowedNamespaces=["*"]),
    )

    def says(reference: object, word: str) -> bool:
        asked = json.dumps(server(HOME, sessionStorageRef=reference))
        return word in kubectl.warns("create", "--dry-run=server", "-f", "-", stdin=asked)

    eventually(lambda: says("theirs", "(NotChecked)"), what="the webhook knows storage theirs")
    shared = {"name": SHARED.name, "namespace": SHARED.namespace}
    eventually(lambda: says(shared, "(NotChecked)"), what="the webhook knows the shared storage")
    keys = ((HOME, "theirs"), SHARED.key)
    yield {key: read(kubectl, "sessionstorage", key[1], key[0]) for key in keys}
    kubectl("delete", "namespace", HOME, SHARED.namespace, "--wait=false")


def generated(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Draw a number of examples, the same ones in every run."""
    drawn: list[Any] = []

    @settings(
        max_examples=count, derandomize=True, database=None, phases=[Phase.generate],
        deadline=None, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def take(example: Any) -> None:
        drawn.append(example)

    take()
    return drawn


class Api:
    """Makes dry runs on the API server, over one persistent connection."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def created(self, obj: Object) -> Object:
        """Return the object that the API server would store."""
        request = Request("POST", resource_of(obj), obj["metadata"]["namespace"], body=obj, query=DRY_RUN)
        return bare(await self._cluster._call(request))

    async def replaced(self, obj: Object) -> Object:
        request = Request("PUT", resource_of(obj), *key_of(obj), body=obj, query=DRY_RUN)
        return bare(await self._cluster._call(request))

    async def canonical(self, obj: Object) -> Object:
        """Return an object as the API server alone would store it."""
        unseen = {**obj, "metadata": {**without_given(obj), "namespace": UNSEEN}}
        return placed(await self.created(unseen))


def resource_of(obj: Object) -> Resource:
    return RESOURCES[obj["kind"]]


def without_given(obj: Object) -> Object:
    return {key: value for key, value in obj["metadata"].items() if key not in GIVEN}


def bare(obj: Object) -> Object:
    return {**obj, "metadata": without_given(obj)}


def placed(obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "namespace": HOME}}


async def see_it_decided(api: Api, known: dict[Key, Object], asked: Object, old: Object | None) -> str:
    """Write an object, compare the stored one with the decision made here, and return the kind of decision."""
    start = await api.canonical(asked)
    operation = "CREATE" if old is None else "UPDATE"
    decision = decide(ConsumerWrite.of(AdmissionRequest("1", operation, HOME, "", start, old)), known, Target.ALL)
    write = api.created if old is None else api.replaced
    if isinstance(decision, Deny):
        with pytest.raises((Rejected, Forbidden)) as refused:
            await write(asked)
        assert all(problem in str(refused.value) for problem in decision.problems)
        return "denied"
    patch = decision.operations if isinstance(decision, Patch) else []
    expected = await api.canonical(jsonpatch.apply_patch(start, json.dumps(patch)))
    assert await write(asked) == bare(expected)
    return "patched" if patch else "allowed"


async def test_every_generated_consumer_is_stored_as_decided(cluster: Cluster, known: dict[Key, Object]) -> None:
    api = Api(cluster)
    drawn = generated(consumers(HOME, st.none() | made_up_records), CREATED)
    answers = [await see_it_decided(api, known, asked, None) for asked in drawn]
    assert len(answers) >= CREATED
    assert answers.count("patched") >= CREATED / 2


async def test_every_generated_change_is_stored_as_decided(cluster: Cluster, known: dict[Key, Object]) -> None:
    api = Api(cluster)
    answers = []
    for number, (consumer, change) in enumerate(generated(st.tuples(consumers(HOME), changes(HOME)), UPDATED)):
        named = {**consumer, "metadata": {**consumer["metadata"], "name": f"srv-{number}"}}
        old = await cluster.create(resource_of(named), named)
        answers.append(await see_it_decided(api, known, change(old), old))
    assert {"patched", "allowed"} <= set(answers)
