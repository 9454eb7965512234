"""The reconciler judges nodes as the scheduler does, by what the installation says of Valkey's pods."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.state.kubernetes_nodes import KubernetesNodes, trimmed_node
from reconciler.state.scheduling import Scheduling
from shared.objects.resources import Object

LINUX = {"kubernetes.io/os": "linux"}


def node(*taints: tuple[str, str, str], **labels: str) -> Object:
    """Build a node with taints, each as key, value and effect."""
    made = [{"key": key, "value": value, "effect": effect} for key, value, effect in taints]
    return {"metadata": {"name": "a", "labels": LINUX | labels}, "spec": {"taints": made}}


def takes(candidate: Object, **rules: Any) -> bool:
    """Tell whether a node is open, as the reconciler's cache keeps it and as the API server lists it."""
    scheduling = Scheduling.model_validate(rules)
    kept = trimmed_node(candidate, scheduling.node_labels)
    answers = {bool(KubernetesNodes.of([each], (), scheduling).open) for each in (candidate, kept)}
    (answer,) = answers
    return answer


POOL = ("pool", "stateful", "NoSchedule")


@pytest.mark.parametrize(
    ("toleration", "is_tolerated"),
    [
        ({"key": "pool", "operator": "Equal", "value": "stateful", "effect": "NoSchedule"}, True),
        ({"key": "pool", "value": "stateful"}, True),
        ({"key": "pool", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "pool", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "pool", "value": "other"}, False),
        ({"key": "pool"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_node_with_a_taint_takes_pods_that_tolerate_it(toleration: Object, *, is_tolerated: bool) -> None:
    assert takes(node(POOL), tolerations=[toleration]) is is_tolerated


@pytest.mark.parametrize(("operator", "is_tolerated"), [("Gt", True), ("Lt", False)])
def test_a_toleration_may_compare_numbers(operator: str, *, is_tolerated: bool) -> None:
    tolerations = [{"key": "sla", "operator": operator, "value": "950"}]
    assert takes(node(("sla", "990", "NoExecute")), tolerations=tolerations) is is_tolerated
    assert not takes(node(("sla", "many", "NoExecute")), tolerations=tolerations)


def test_every_taint_that_keeps_pods_away_must_be_tolerated() -> None:
    only_one = [{"key": "pool", "operator": "Exists"}]
    assert not takes(node(POOL, ("gpu", "", "NoExecute")), tolerations=only_one)
    assert takes(node(POOL, ("gpu", "", "PreferNoSchedule")), tolerations=only_one)
    assert takes(node(POOL, ("gpu", "", "NoExecute")), tolerations=[*only_one, {"key": "gpu", "operator": "Exists"}])


def test_a_node_must_have_every_label_of_the_selector_and_run_linux() -> None:
    assert takes(node(pool="stateful"), nodeSelector={"pool": "stateful"})
    assert not takes(node(pool="other"), nodeSelector={"pool": "stateful"})
    assert not takes(node(), nodeSelector={"pool": "stateful"})
    windows = node(pool="stateful", **{"kubernetes.io/os": "windows"})
    assert not takes(windows, nodeSelector={"pool": "stateful"})
    assert not takes(windows, nodeSelector={"kubernetes.io/os": "windows"})


def required(*terms: Object) -> Object:
    needed = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": needed}}


def expression(key: str, operator: str, *values: str) -> Object:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("term", "is_selected"),
    [
        (expression("zone", "In", "a", "b"), True),
        (expression("zone", "In", "b"), False),
        (expression("zone", "NotIn", "b"), True),
        (expression("zone", "NotIn", "a"), False),
        (expression("absent", "NotIn", "a"), True),
        (expression("zone", "Exists"), True),
        (expression("absent", "Exists"), False),
        (expression("absent", "DoesNotExist"), True),
        (expression("zone", "DoesNotExist"), False),
        (expression("cores", "Gt", "4"), True),
        (expression("cores", "Gt", "8"), False),
        (expression("cores", "Lt", "9"), True),
        (expression("zone", "Gt", "4"), False),
        (expression("absent", "Lt", "4"), False),
        ({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}, True),
        ({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["a"]}]}, False),
        ({"matchExpressions": [*expression("zone", "Exists")["matchExpressions"]], "matchFields": []}, True),
        ({}, False),
    ],
    ids=str,
)
def test_a_node_must_meet_a_term_of_the_required_affinity(term: Object, *, is_selected: bool) -> None:
    assert takes(node(zone="a", cores="8"), **required(term)) is is_selected


def test_one_of_several_terms_suffices_and_all_requirements_of_that_one() -> None:
    both = expression("zone", "In", "a")["matchExpressions"] + expression("cores", "Gt", "9")["matchExpressions"]
    assert not takes(node(zone="a", cores="8"), **required({"matchExpressions": both}))
    assert takes(node(zone="a"), **required(expression("zone", "In", "b"), expression("zone", "In", "a")))


def test_what_pods_only_prefer_closes_no_node() -> None:
    wish = {"weight": 1, "preference": expression("zone", "In", "b")}
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}
    assert takes(node(zone="a"), affinity=affinity)


def test_a_drained_node_takes_nothing_whatever_pods_tolerate() -> None:
    drained = node(POOL)
    drained["spec"]["unschedulable"] = True
    assert not takes(drained, tolerations=[{"operator": "Exists"}])
