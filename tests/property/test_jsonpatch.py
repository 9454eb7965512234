"""A patch turns one object into the other, whatever they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st

from shared.objects.field_path import pointer
from webhook.admission.json_patch import diff

if TYPE_CHECKING:
    from shared.objects.resources import Object

keys = st.sampled_from(["name", "a", "b/c", "~d", "~1", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["x", "y"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(keys, values, max_size=4)


def canonical(node: Any) -> str:
    return json.dumps(without_nulls(node), sort_keys=True)


def without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_nulls(value) for key, value in node.items() if value is not None}
    return [without_nulls(value) for value in node] if isinstance(node, list) else node


@given(objects, objects)
def test_applying_the_difference_gives_the_other_object(before: Object, after: Object) -> None:
    operations = diff(before, after)
    assert canonical(jsonpatch.apply_patch(before, json.dumps(operations))) == canonical(after)


@given(objects)
def test_nothing_differs_from_itself(obj: Object) -> None:
    assert diff(obj, json.loads(json.dumps(obj))) == []


@given(objects, objects)
def test_arrays_are_never_replaced_and_nothing_is_tested(before: Object, after: Object) -> None:
    paths = {operation["path"] for operation in diff(before, after)}
    arrays = {key for key in before.keys() & after.keys() if isinstance(before[key], list)}
    assert not paths & {pointer((key,)) for key in arrays if isinstance(after[key], list)}
    assert {operation["op"] for operation in diff(before, after)} <= {"add", "remove", "replace"}
