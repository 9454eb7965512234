"""Objects that are held as bytes are those that were put in."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kubernetes.keeping import PackedObjects
from shared.objects.resources import Key, Object

LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text())
VALUES = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3))
)
KEYS = st.tuples(st.sampled_from(["", "team"]), st.sampled_from("abc"))
CHANGES = st.lists(st.tuples(KEYS, st.one_of(st.none(), st.dictionaries(st.text(), VALUES, max_size=4))))


@given(CHANGES)
def test_packed_objects_are_a_dictionary_of_objects(changes: list[tuple[Key, Object | None]]) -> None:
    plain, packed = dict[Key, Object](), PackedObjects()
    for key, obj in changes:
        if obj is None:
            assert packed.pop(key, None) == plain.pop(key, None)
        else:
            # As the API server's answers come: orjson has read them.
            plain[key] = packed[key] = orjson.loads(orjson.dumps(obj, option=orjson.OPT_NON_STR_KEYS))
        assert packed == plain
        assert (list(packed), list(packed.values()), len(packed)) == (list(plain), list(plain.values()), len(plain))


def test_whoever_reads_an_object_cannot_change_that_of_others() -> None:
    packed = PackedObjects()
    packed["team", "a"] = {"spec": {"replicas": 1}}
    packed["team", "a"]["spec"]["replicas"] = 2
    assert packed["team", "a"] == {"spec": {"replicas": 1}}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"in": value}
    return value


@pytest.mark.parametrize("value", [nested(600), 2**70], ids=["nested", "large"])
def test_what_cannot_be_written_is_kept_as_it_is(value: Any) -> None:
    """Users write objects of any shape, and one of them must not stop the watch of all others."""
    packed, obj = PackedObjects(), {"spec": value}
    packed["team", "a"] = obj
    assert packed.get(("team", "a")) is obj


def test_a_search_by_key_reads_no_object(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = PackedObjects()
    packed["team", "a"] = {"spec": {}}

    def read(_: bytes) -> Object:
        raise AssertionError("read an object")

    monkeypatch.setattr(orjson, "loads", read)
    assert ("team", "a") in packed
    assert ("team", "b") not in packed
    assert packed.get(("team", "b")) is None
    assert (list(packed.keys()), len(packed)) == ([("team", "a")], 1)
