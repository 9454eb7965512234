"""From whatever state a storage starts, its reconciler reaches the same end, and then writes nothing."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.credentials import identities
from reconciler.state.write_outcome import LONGEST_PAUSE
from shared import names
from shared.objects.resources import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Object,
    Resource,
)
from shared.session_storage.sizes import Size
from tests.support.simulated import NAMESPACE, Simulation

SYSTEM_KEYS = [identity.key for identity in identities.IDENTITIES if identity is not identities.CONSUMER]
TEXTS = st.one_of(st.text(max_size=8), st.just("eA=="), st.just("y" * 44), st.none())


def mangled(keys: list[str]) -> st.SearchStrategy[Object]:
    """Draw an edit of data: keys are removed, filled with garbage, or added."""
    return st.dictionaries(st.sampled_from([*keys, "foreign"]), TEXTS, min_size=1, max_size=4)


AUTH_EDITS = mangled([*SYSTEM_KEYS, "users.acl"]).map(lambda data: {"data": data})
CONNECTION_EDITS = mangled(["REDIS_URL", "REDIS_PASSWORD", "SESSION_STORAGE_TYPE"]).map(lambda data: {"data": data})
LABELS = st.dictionaries(
    st.sampled_from([names.LABEL_STORAGE, names.LABEL_SIZE, "team"]),
    st.sampled_from([None, "", "small", "large", "stranger"]),
    max_size=3,
).map(lambda labels: {"metadata": {"labels": labels}})
SPECS: dict[str, st.SearchStrategy[Object]] = {
    NETWORK_POLICIES.plural: st.sampled_from(
        [{"ingress": [{}]}, {"egress": []}, {"podSelector": {}}, {"policyTypes": ["Ingress"]}, {"ingress": None}]
    ),
    STATEFUL_SETS.plural: st.sampled_from(
        [{"replicas": 0}, {"replicas": 3}, {"template": {"spec": {"containers": []}}}, {"template": None}]
    ),
    SERVICES.plural: st.sampled_from(
        [{"selector": {"a": "b"}}, {"selector": None}, {"ports": []}, {"publishNotReadyAddresses": False}]
    ),
}
CONFIGS: list[Object] = [
    {"data": {"valkey.conf": "appendonly no"}},
    {"data": None},
    {"data": {"valkey.conf": None, "other": "x"}},
]
SLICES: st.SearchStrategy[Object] = st.one_of(
    st.sampled_from([None, [], [{"addresses": ["10.9.9.9"]}]]).map(lambda endpoints: {"endpoints": endpoints}),
    st.fixed_dictionaries(
        {
            names.LABEL_INSTANCE: st.sampled_from([None, "1", "7", "x"]),
            "kubernetes.io/service-name": st.sampled_from([None, "mine-valkey", "others"]),
        }
    ).map(lambda labels: {"metadata": {"labels": labels}}),
    st.sampled_from([None, "{}", "nonsense", '{"epoch":99}', '{"to":1}']).map(
        lambda record: {"metadata": {"annotations": {names.ANNOTATION_PRIMARY: record}}}
    ),
    st.just({"ports": []}),
)
CONFIG_EDITS = st.sampled_from(CONFIGS)


@dataclass(frozen=True)
class Harm:
    """What somebody does to one child: deletes or edits it."""

    resource: Resource
    name: str
    edit: Object | None


def harms(resource: Resource, name: str, *edits: st.SearchStrategy[Object]) -> st.SearchStrategy[Harm]:
    return st.one_of(st.none(), LABELS, *edits).map(lambda edit: Harm(resource, name, edit))


def specs(resource: Resource) -> st.SearchStrategy[Any]:
    return SPECS[resource.plural].map(lambda spec: {"spec": spec})


HARMS = st.one_of(
    harms(SECRETS, "mine-auth", AUTH_EDITS),
    harms(SECRETS, "mine-connection", CONNECTION_EDITS),
    harms(NETWORK_POLICIES, "mine-valkey", specs(NETWORK_POLICIES)),
    harms(CONFIG_MAPS, "mine-valkey", CONFIG_EDITS),
    harms(STATEFUL_SETS, "mine-valkey-0", specs(STATEFUL_SETS)),
    harms(SERVICES, "mine-valkey", specs(SERVICES)),
    harms(SERVICES, "mine-valkey-nodes", specs(SERVICES)),
    harms(ENDPOINT_SLICES, "mine-valkey", SLICES),
    st.just(Harm(PODS, "mine-valkey-0-0", None)),
)


async def started(size: Size) -> Simulation:
    simulation = Simulation()
    await simulation.ask_for(size=size)
    await simulation.settle()
    return simulation


async def do_harm(simulation: Simulation, harm: Harm) -> None:
    if harm.edit is None:
        await simulation.api.delete(harm.resource, NAMESPACE, harm.name)
    elif simulation.find(harm.resource, harm.name) is not None:
        await simulation.edit(harm.resource, harm.name, harm.edit)


def essence(simulation: Simulation) -> Object:
    """Return all children without what may differ: the primary, the system's own passwords, and labels of others."""
    children = {key: copy.deepcopy(obj) for key, obj in simulation.children.items()}
    endpoint_slice = children["endpointslices", "mine-valkey"]
    primary = endpoint_slice["metadata"]["labels"].pop(names.LABEL_INSTANCE)
    assert [each["addresses"] for each in endpoint_slice.pop("endpoints")] == [[simulation.primary]]
    assert children["configmaps", "mine-valkey"]["data"].pop("primary") == primary
    assert ("statefulsets", names.valkey_instance("mine", int(primary))) in children
    auth = identities.decoded(children["secrets", "mine-auth"].pop("data"))
    for (plural, _), obj in children.items():
        foreign = {"team"} if plural == STATEFUL_SETS.plural else {"team", names.LABEL_SIZE}
        obj["metadata"]["labels"] = {k: v for k, v in obj["metadata"]["labels"].items() if k not in foreign}
    return {"children": children, "password": auth["password"], "phase": simulation.status["phase"]}


async def assert_sound(simulation: Simulation, before: Object) -> None:
    assert essence(simulation) == before
    secret = simulation.secret("mine-auth")
    passwords = {key: secret[key] for key in identities.PASSWORD_KEYS}
    assert secret["users.acl"] == identities.users_acl(passwords)
    assert all(map(identities.is_password, passwords.values()))
    with simulation.quiet():
        await simulation.reconcile()


@settings(max_examples=150)
@given(st.sampled_from(Size), st.lists(HARMS, min_size=1, max_size=8))
def test_whatever_somebody_does_to_the_children_the_reconciler_restores_them(size: Size, done: list[Harm]) -> None:
    async def check() -> None:
        simulation = await started(size)
        before = essence(simulation)
        keeps_password = not _loses_both_secrets(done)
        for harm in done:
            await do_harm(simulation, harm)
        await simulation.settle()
        if not keeps_password:
            before["password"] = simulation.secret("mine-auth")["password"]
            before["children"]["secrets", "mine-connection"]["data"] = _connection(simulation)
        await assert_sound(simulation, before)

    asyncio.run(check())


def _loses_both_secrets(done: list[Harm]) -> bool:
    """Tell whether both Secrets that hold the consumers' password were spoilt: then it is lost."""
    auth = any(harm.name == "mine-auth" and harm.edit is None for harm in done)
    return auth and any(
        harm.name == "mine-connection" and (harm.edit is None or "REDIS_PASSWORD" in harm.edit.get("data", {}))
        for harm in done
    )


def _connection(simulation: Simulation) -> Object:
    data: Object = simulation.children["secrets", "mine-connection"]["data"]
    return data


@settings(max_examples=100)
@given(st.lists(st.tuples(HARMS, st.integers(0, 3)), min_size=1, max_size=6))
def test_harm_between_any_two_passes_is_healed(done: list[tuple[Harm, int]]) -> None:
    """The connection Secret stays whole here, so the consumers' password must survive everything."""

    async def check() -> None:
        simulation = await started(Size.SMALL)
        before = essence(simulation)
        for harm, passes in done:
            # What others do again and again within seconds, the reconciler leaves for a while.
            simulation.passed += LONGEST_PAUSE
            if harm.name != "mine-connection":
                await do_harm(simulation, harm)
            for _ in range(passes):
                await simulation.reconcile()
                await simulation.boot()
        await simulation.settle()
        await assert_sound(simulation, before)

    asyncio.run(check())


@settings(max_examples=60)
@given(st.sets(st.sampled_from(range(8))), st.sampled_from(Size))
def test_the_reconciler_completes_any_subset_of_the_children(missing: set[int], size: Size) -> None:
    async def check() -> None:
        simulation = await started(size)
        before = essence(simulation)
        keys = [(SECRETS, "mine-auth"), (SECRETS, "mine-connection"), (NETWORK_POLICIES, "mine-valkey"),
                (CONFIG_MAPS, "mine-valkey"), (STATEFUL_SETS, "mine-valkey-0"), (SERVICES, "mine-valkey"),
                (SERVICES, "mine-valkey-nodes"), (ENDPOINT_SLICES, "mine-valkey")]  # fmt: skip
        for index in missing:
            await simulation.api.delete(keys[index][0], NAMESPACE, keys[index][1])
        await simulation.settle()
        if {0, 1} <= missing:
            before["password"] = simulation.secret("mine-auth")["password"]
            before["children"]["secrets", "mine-connection"]["data"] = _connection(simulation)
        await assert_sound(simulation, before)

    asyncio.run(check())
