"""A draft with many changes equals the changes made one after the other, and leaves the original object as it is."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import InvalidSpec
from shared.objects.field_path import Draft, Path, path_of, pointer, put, read, without

if TYPE_CHECKING:
    from shared.objects.resources import Object

steps = st.sampled_from(["a", "b/c", "d~e", "containers", "envFrom"])
keys = steps | st.just("name")
leaves = st.none() | st.integers() | st.text(max_size=3)
nodes = st.recursive(
    leaves, lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=3), max_leaves=12
)
objects = st.dictionaries(keys, nodes, max_size=4)
places = st.sampled_from([("a",), ("b/c",), ("d~e", "a"), ("containers", "a"), ("envFrom", "b/c")])
"""Fields, and entries of arrays; no entry has the name of an array."""
paths = st.lists(places, min_size=1, max_size=3).map(lambda parts: sum(parts, ()))
changes = st.lists(st.tuples(paths, st.none() | st.integers() | st.dictionaries(keys, leaves, max_size=2)), max_size=6)
"""Fields and their new values; None removes a field."""


def changed(obj: Object, path: Path, value: Any) -> Object:
    return without(obj, path) if value is None else put(obj, path, value)


@given(objects, changes)
@example({"envFrom": {"b/c": 0}}, [(("envFrom", "b/c"), None), (("envFrom", "b/c"), 0)])
def test_a_draft_equals_its_changes_made_one_after_the_other(obj: Object, made: list[tuple[Path, Any]]) -> None:
    before, draft, expected = copy.deepcopy(obj), Draft(obj), obj
    for path, value in made:
        try:
            expected = changed(expected, path, value)
        except InvalidSpec as error:
            with pytest.raises(InvalidSpec, match=re.escape(str(error))):
                draft.put(path, value)
            break
        draft.remove(path) if value is None else draft.put(path, value)
        assert draft.obj == expected
    assert obj == before


@given(objects, paths, st.integers())
def test_a_value_that_was_put_can_be_read_and_removed(obj: Object, path: Path, value: int) -> None:
    try:
        changed_object = put(obj, path, {"name": path[-1], "value": value})
    except InvalidSpec:
        return
    assert read(changed_object, path) == {"name": path[-1], "value": value}
    assert read(without(changed_object, path), path) is None


@given(objects, paths)
def test_removing_an_absent_field_changes_nothing(obj: Object, path: Path) -> None:
    if read(obj, path) is None:
        assert without(obj, path) is obj


@given(st.lists(keys, min_size=1).map(tuple))
def test_a_json_pointer_reads_back_as_its_path(path: Path) -> None:
    assert path_of(pointer(path)) == path
