"""Properties of drift that hold for every object."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.plan.drift import ATOMIC, CLOSED, UNWANTED, has_additions, is_covered
from shared.objects.resources import Object

KEYS = st.sampled_from(["a", "b", "c", "spec", *sorted(ATOMIC)])
MAX_INTEGER = 2**63 - 1
"""API servers hold whole numbers in 64 bits with a sign, and make a float of a greater one."""
LEAVES = st.one_of(st.integers(-3, 3), st.booleans(), st.text("xy", max_size=2))


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    return st.dictionaries(KEYS, values, max_size=4)


def lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    keyed = st.lists(st.tuples(st.sampled_from("nmo"), objects(values)), max_size=3, unique_by=lambda pair: pair[0])
    named = keyed.map(lambda pairs: [{**item, "name": name} for name, item in pairs])
    return st.one_of(st.lists(values, max_size=3), named)


VALUES = st.recursive(LEAVES, lambda inner: st.one_of(objects(inner), lists(inner)), max_leaves=12)
OBJECTS = objects(VALUES)


@given(OBJECTS)
def test_an_object_covers_itself(obj: Object) -> None:
    assert is_covered(obj, copy.deepcopy(obj))


@given(OBJECTS, st.dictionaries(st.sampled_from(["status", "default", "other"]), VALUES))
def test_more_fields_beside_ours_are_no_drift(obj: Object, extra: Object) -> None:
    assert is_covered(obj, obj | extra)


def widened(value: Any, extra: Object) -> Any:
    """Add fields to every object but those that drift compares whole."""
    if isinstance(value, list):
        return [widened(item, extra) for item in value]
    if isinstance(value, dict):
        inner = {key: item if key in ATOMIC else widened(item, extra) for key, item in value.items()}
        return {**inner, **extra}
    return value


@given(OBJECTS, st.dictionaries(st.sampled_from(["status", "default"]), LEAVES))
def test_defaults_at_any_depth_are_no_drift(obj: Object, extra: Object) -> None:
    assert is_covered(obj, widened(obj, extra))


@given(OBJECTS, st.sampled_from(sorted(ATOMIC)), st.dictionaries(KEYS, LEAVES, min_size=1), LEAVES)
def test_a_foreign_field_in_what_is_compared_whole_is_drift(obj: Object, key: str, value: Object, leaf: object) -> None:
    assert not is_covered(obj | {key: value}, obj | {key: value | {"stranger": leaf or 1}})


@given(OBJECTS, st.data())
def test_a_changed_leaf_is_drift(obj: Object, data: st.DataObject) -> None:
    desired = obj | {"ours": 1}
    observed = desired | {
        "ours": data.draw(st.one_of(st.none(), st.text(), st.integers(2, MAX_INTEGER), st.lists(LEAVES)))
    }
    assert not is_covered(desired, observed)
    assert not is_covered({"spec": desired}, {"spec": observed})


@given(OBJECTS)
def test_an_object_adds_nothing_to_itself(obj: Object) -> None:
    assert not has_additions(obj, copy.deepcopy(obj))


@given(OBJECTS, st.dictionaries(st.sampled_from(["status", "default", "other"]), VALUES))
def test_fields_beside_ours_are_no_additions(obj: Object, extra: Object) -> None:
    assert not has_additions(obj, obj | extra)


@given(OBJECTS, st.sampled_from(sorted(CLOSED)), st.dictionaries(KEYS, LEAVES))
def test_a_foreign_field_in_a_closed_object_is_an_addition(obj: Object, key: str, value: Object) -> None:
    assert has_additions({"spec": obj | {key: value}}, {"spec": obj | {key: value | {"stranger": 1}}})
    items = [{"name": name} for name in value]
    assert has_additions(obj | {key: items}, obj | {key: [*items, {"name": "stranger"}]})
    assert has_additions(obj | {key: []}, obj | {key: [{"secretRef": {"name": "of a stranger"}}]})


@given(OBJECTS, st.sampled_from(sorted(UNWANTED)), VALUES)
def test_an_unwanted_field_is_an_addition_unless_it_is_empty(obj: Object, key: str, value: object) -> None:
    ours = {name: inner for name, inner in obj.items() if name != key}
    assert has_additions({"spec": ours}, {"spec": ours | {key: value}}) == bool(value)
