"""Who uses which storage."""

from __future__ import annotations

from reconciler.consumers import ConsumerIndex
from shared.resources import Key, Object


def server(name: str, reference: object, namespace: str = "team") -> Object:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"sessionStorageRef": reference}}


class Index(ConsumerIndex):
    """An index, and what it asked to be looked at."""

    def __init__(self) -> None:
        self.asked: list[Key] = []
        super().__init__(self.asked.append)


def test_consumers_beside_the_storage_are_none_that_wait() -> None:
    index = Index()
    index.on_change(None, server("a", "mine"))
    assert index.outside(("team", "mine")) == ()
    assert index.asked == [("team", "mine")]


def test_consumers_elsewhere_are_named_in_order() -> None:
    index = Index()
    for namespace in ("z", "b"):
        index.on_change(None, server("a", {"name": "mine", "namespace": "team"}, namespace))
    assert index.outside(("team", "mine")) == ("b/a", "z/a")


def test_a_moved_reference_tells_both_storages() -> None:
    index = Index()
    old, new = server("a", "one"), server("a", "two")
    index.on_change(None, old)
    index.asked.clear()
    index.on_change(old, new)
    assert sorted(index.asked) == [("team", "one"), ("team", "two")]


def test_a_change_of_anything_else_tells_nobody() -> None:
    index = Index()
    old = server("a", "one")
    index.on_change(None, old)
    index.asked.clear()
    index.on_change(old, old | {"status": {"phase": "Running"}})
    assert index.asked == []


def test_a_consumer_that_goes_is_forgotten_and_told_of() -> None:
    index = Index()
    old = server("a", {"name": "mine", "namespace": "team"}, "other")
    index.on_change(None, old)
    index.on_change(old, None)
    assert index.outside(("team", "mine")) == ()
    assert index.asked == [("team", "mine")] * 2


def test_a_reference_that_cannot_be_read_is_none() -> None:
    index = Index()
    index.on_change(None, server("a", 17))
    index.on_change(None, {"metadata": {"namespace": "team", "name": "b"}})
    assert index.asked == []
