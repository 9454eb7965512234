"""An index always finds the objects of its cache by another key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.kubernetes.index import Index
from shared.kubernetes.informer import Informer
from shared.objects.resources import SECRETS, Key, Object
from tests.support.fakes import FakeApi

OWNERS = ("", "mine", "yours")


def owner(obj: Object) -> Key | None:
    name = obj["metadata"]["labels"]["owner"]
    return ("team", name) if name else None


def secret(name: int, owner: str, version: int) -> Object:
    metadata = {"namespace": "team", "name": str(name), "labels": {"owner": owner}, "resourceVersion": str(version)}
    return {"metadata": metadata}


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from((*OWNERS, None)))), st.integers(0, 9))
def test_an_index_agrees_with_a_search_through_the_cache(changes: list[tuple[int, str | None]], late: int) -> None:
    cache, indexes = Informer(FakeApi(), SECRETS), list[Index]()
    for version, (name, belongs) in enumerate(changes, 1):
        if version > late and not indexes:
            indexes.append(Index(cache, owner))
        if belongs is None:
            cache._drop(("team", str(name)))
        else:
            cache.remember(secret(name, belongs, version))
    index = indexes[0] if indexes else Index(cache, owner)
    for each in OWNERS:
        expected = [obj for obj in cache.objects.values() if each and owner(obj) == ("team", each)]
        assert sorted(map(str, index.get(("team", each)))) == sorted(map(str, expected))
    assert index._by_key.keys() <= {("team", each) for each in OWNERS if each}
    assert all(index._by_key.values())
