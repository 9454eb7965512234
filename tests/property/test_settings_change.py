"""Whatever a platform team and a storage's owner say, a storage gets there, rests, and can go back."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.manifests.network_policy_settings import NetworkPolicySettings
from reconciler.manifests.valkey_pods import UserIds, ValkeyPods
from reconciler.plan.desired_objects import StorageSettings
from shared.objects.resources import Object
from shared.session_storage.size_settings import parse_sizes
from shared.session_storage.sizes import Size
from tests.support.simulated import SETTINGS, Simulation

KEYS = st.sampled_from(["a", "example.com/team", "app.kubernetes.io/name", "app.kubernetes.io/part-of"])
WORDS = st.sampled_from(["", "x", "false"])
METADATA = st.dictionaries(KEYS, WORDS, max_size=3)
TOLERATIONS = st.lists(
    st.fixed_dictionaries(
        {"operator": st.sampled_from(["", "Exists", "Equal"])},
        optional={"key": KEYS, "value": WORDS, "effect": st.just("")},
    ),
    max_size=2,
)
TERM = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
AFFINITIES: st.SearchStrategy[Object] = st.sampled_from(
    [
        {},
        {"nodeAffinity": {}},
        {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [TERM]}}},
        {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}},
    ]
)
PODS = st.fixed_dictionaries(
    {},
    optional={
        "scheduling": st.fixed_dictionaries(
            {}, optional={"nodeSelector": METADATA, "tolerations": TOLERATIONS, "affinity": AFFINITIES}
        ),
        "priorityClassName": st.sampled_from(["", "high"]),
        "imagePullSecrets": st.lists(st.sampled_from(["one", "two"]).map(lambda name: {"name": name}), max_size=3),
        "podLabels": METADATA,
        "podAnnotations": METADATA,
        "cpuLimit": st.sampled_from(["", "2", "1500m", 2.5]),
        "userIds": st.sampled_from(list(UserIds)),
        "podSecurityContext": st.sampled_from([{}, {"fsGroup": 7}, {"supplementalGroups": [1]}]),
    },
)
RULES: st.SearchStrategy[list[Object]] = st.lists(
    st.sampled_from([{}, {"ports": [{"port": 53}]}, {"ports": []}, {"ports": [{"protocol": "UDP", "port": "dns"}]}]),
    max_size=2,
)
NETWORK = st.fixed_dictionaries({"enabled": st.booleans(), "extraIngress": RULES, "extraEgress": RULES})
SIZES = st.sampled_from(
    [
        "{}",
        '{"small":{"memory":"512Mi"}}',
        '{"large":{"cpu":1}}',
        '{"small":{"replicas":3}}',
        '{"large":{"replicas":4}}',
    ]
)
SETTINGS_DRAWN = st.builds(
    lambda pods, network, sizes: replace(
        SETTINGS,
        pods=ValkeyPods.model_validate(pods),
        network=NetworkPolicySettings.model_validate(network),
        sizes=parse_sizes(sizes),
    ),
    PODS,
    NETWORK,
    SIZES,
)
INHERITED: st.SearchStrategy[Object] = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(st.just("team"), WORDS),
        "annotations": st.dictionaries(st.just("note"), WORDS),
    },
)
ENOUGH = 12
"""Rounds of passes that any change of all instances takes."""


async def settle(simulation: Simulation) -> None:
    """Make passes until one writes nothing; a change of several instances takes more than one start does."""
    for _ in range(ENOUGH):
        written = len(simulation.api.writes)
        await simulation.settle()
        if len(simulation.api.writes) == written:
            break
    with simulation.quiet():
        await simulation.reconcile()


def essence(simulation: Simulation) -> tuple[dict[tuple[str, str], Object], dict[str, int]]:
    """Return the objects that a move of the primary leaves as they are, and how many there are of each kind."""
    kinds = {"networkpolicies", "services", "poddisruptionbudgets"}
    kept = {key: obj for key, obj in simulation.children.items() if key[0] in kinds}
    return kept, Counter(plural for plural, _ in simulation.children)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([Size.SMALL, Size.LARGE]), SETTINGS_DRAWN, INHERITED)
def test_a_storage_reaches_any_settings_rests_and_goes_back(size: Size, drawn: StorageSettings, inherited: Any) -> None:
    async def check() -> None:
        simulation = Simulation()
        simulation.pull_secrets = {
            "one": {"metadata": {"name": "one"}, "type": "kubernetes.io/dockerconfigjson", "data": {}}
        }
        await simulation.ask_for(size=size)
        await settle(simulation)
        before = essence(simulation)
        simulation.settings = drawn
        simulation.start()
        await simulation.ask_for(size=size, inheritedMetadata=inherited)
        await settle(simulation)
        assert simulation.status["phase"] == "Ready"
        assert len(simulation.kubelets.running) == drawn.sizes.of(size).replicas
        for pod in simulation.kubelets.pods.values():
            assert pod["spec"]["securityContext"] == drawn.pods.security_context
            assert inherited.get("labels", {}).keys() <= pod["metadata"]["labels"].keys()
        simulation.settings = SETTINGS
        simulation.start()
        await simulation.ask_for(size=size)
        await settle(simulation)
        assert essence(simulation) == before

    asyncio.run(check())
