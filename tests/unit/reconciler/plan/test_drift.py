"""Whether an object matches its desired state."""

from __future__ import annotations

import copy

import pytest

from reconciler.manifests import network_policy, services
from reconciler.plan.drift import (
    ATOMIC,
    CLOSED,
    UNWANTED,
    deviations,
    is_covered,
    managers_of,
    repair_if_unchanged,
)
from shared.objects.resources import SERVICES, Object
from tests.support.storages import SETTINGS, STORAGE, stored

SERVICE = services.primary_service(STORAGE)
POLICY = network_policy.network_policy(STORAGE, SETTINGS.peers)


@pytest.mark.parametrize(
    ("desired", "observed"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"spec": {"a": 1}}, {"spec": {"a": 1, "default": True}, "status": {}}),
        ({"ports": [{"name": "valkey", "port": 1}]}, {"ports": [{"name": "valkey", "port": 1, "instancePort": 3}]}),
        ({"containers": [{"name": "a"}]}, {"containers": [{"name": "injected"}, {"name": "a"}]}),
        ({"claims": [{"spec": {"a": 1}}]}, {"claims": [{"spec": {"a": 1, "volumeMode": "Filesystem"}, "status": {}}]}),
        ({"selector": {"matchLabels": {}}}, {"selector": {"matchLabels": None}}),
        ({"ingress": [{"from": [], "ports": [1]}]}, {"ingress": [{"from": None, "ports": [1]}]}),
        ({"list": []}, {"list": []}),
        ({"list": []}, {"list": None}),
        ({"list": []}, {}),
    ],
    ids=str,
)
def test_defaults_and_fields_of_others_are_no_drift(desired: Object, observed: Object) -> None:
    assert is_covered(desired, observed)


@pytest.mark.parametrize(
    ("desired", "observed"),
    [
        ({"a": 1}, {}),
        ({"a": 1}, {"a": 2}),
        ({"a": {"b": 1}}, {"a": "b"}),
        ({"a": {"b": 1}}, {"a": None}),
        ({"a": [1]}, {"a": {"0": 1}}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": [{"x": 1}]}, {"a": []}),
        ({"containers": [{"name": "a"}]}, {"containers": [{"name": "b"}]}),
        ({"containers": [{"name": "a", "image": "1"}]}, {"containers": [{"name": "a", "image": "2"}]}),
        ({"replicas": 1}, {"replicas": 0}),
        ({"publishNotReadyAddresses": True}, {"publishNotReadyAddresses": False}),
    ],
    ids=str,
)
def test_a_changed_or_missing_field_of_ours_is_drift(desired: Object, observed: Object) -> None:
    assert not is_covered(desired, observed)


@pytest.mark.parametrize("name", sorted(UNWANTED | CLOSED | ATOMIC))
@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_somebody_elses_label_opens_nothing_whatever_its_name(field: str, name: str) -> None:
    """Teams label everything with `env: prod`; the name means something in the spec of a container."""
    ours: Object = {"metadata": {"name": "a", field: {"app": "valkey"}}}
    theirs: Object = {"metadata": {"name": "a", "uid": "u", field: {"app": "valkey", name: "prod"}}}
    desired, present = ({**each, "spec": {"template": {**each, "spec": {}}}} for each in (ours, theirs))
    assert list(deviations(desired, present)) == []
    changed = {**present, "metadata": {**theirs["metadata"], field: {"app": "other", name: "prod"}}}
    assert [str(each) for each in deviations(desired, changed)] == [f"metadata.{field}.app"]
    handed_down: Object = {"metadata": {"name": "a", field: {name: "prod"}}}
    assert [str(each) for each in deviations(handed_down, ours)] == [f"metadata.{field}.{name}"]


def test_an_additional_label_in_a_selector_is_drift() -> None:
    headless = services.headless_service(STORAGE)
    edited = copy.deepcopy(headless)
    edited["spec"]["selector"]["stranger"] = "yes"
    assert not is_covered(headless, edited)


def test_a_selector_of_the_primarys_service_is_taken_away_and_its_address_stays() -> None:
    """Clients would get where somebody else's selector says; a former release had one."""
    present = stored(copy.deepcopy(SERVICE))
    present["spec"] |= {"selector": {"any": "pod"}, "clusterIP": "10.0.0.9"}
    step = repair_if_unchanged(SERVICES, SERVICE, present)
    assert step is not None
    assert step.obj["spec"] == {**SERVICE["spec"], "clusterIP": "10.0.0.9"}


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_an_additional_rule_or_peer_of_a_policy_is_drift(direction: str) -> None:
    more_rules, more_peers = copy.deepcopy(POLICY), copy.deepcopy(POLICY)
    more_rules["spec"][direction].append({})
    more_peers["spec"][direction][0][{"ingress": "from", "egress": "to"}[direction]].append({"podSelector": {}})
    assert not is_covered(POLICY, more_rules)
    assert not is_covered(POLICY, more_peers)


def test_a_widened_peer_is_drift() -> None:
    edited = copy.deepcopy(POLICY)
    edited["spec"]["ingress"][0]["from"][0]["namespaceSelector"] = {}
    assert not is_covered(POLICY, edited)


def test_an_absent_object_is_drift() -> None:
    assert not is_covered(SERVICE, {})


@pytest.mark.parametrize(
    ("manager", "named"),
    [
        ("a-controller", {"a-controller"}),
        ("toolhive-session-storage", set()),
        ("toolhive-session-storage-reconciler", set()),
        ("", set()),
    ],
)
def test_a_field_that_a_policy_changed_in_a_write_of_ours_is_laid_to_nobody(manager: str, named: set[str]) -> None:
    fields: Object = {"f:spec": {"f:replicas": {}}}
    obj: Object = {"metadata": {"managedFields": [{"manager": manager, "fieldsV1": fields}]}, "spec": {"replicas": 2}}
    assert managers_of(obj, ("spec", "replicas")) == named
