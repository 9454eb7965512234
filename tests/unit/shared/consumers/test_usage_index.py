"""Which consumers use which storage."""

from __future__ import annotations

from shared.consumers.identity import Consumer, Usage
from shared.consumers.usage_index import ConsumerIndex
from shared.objects.resources import Key, Object


def server(name: str, reference: object, namespace: str = "team") -> Object:
    return {
        "kind": "MCPServer",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"sessionStorageRef": reference},
    }


class Index(ConsumerIndex):
    """An index, and the storages that it asked to have reconciled."""

    def __init__(self) -> None:
        self.asked: list[Key] = []
        super().__init__(self.asked.append)


def test_consumers_of_all_namespaces_are_listed_in_order() -> None:
    index = Index()
    for namespace in ("z", "b", "team"):
        index.on_change(None, server("a", {"name": "mine", "namespace": "team"}, namespace))
    found = [usage.consumer for usage in index.usages(("team", "mine"))]
    assert found == [Consumer("MCPServer", namespace, "a") for namespace in ("b", "team", "z")]
    assert index.asked == [("team", "mine")] * 3


def test_kinds_that_share_a_name_are_two_consumers() -> None:
    index = Index()
    for kind in ("MCPServer", "VirtualMCPServer"):
        index.on_change(None, server("a", "mine") | {"kind": kind})
    assert [str(usage.consumer) for usage in index.usages(("team", "mine"))] == [
        "MCPServer team/a",
        "VirtualMCPServer team/a",
    ]


def test_a_consumer_that_is_being_deleted_is_marked_and_reported() -> None:
    index = Index()
    old = server("a", "mine")
    index.on_change(None, old)
    index.on_change(old, old | {"metadata": old["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert index.usages(("team", "mine")) == (
        Usage(Consumer("MCPServer", "team", "a"), ("team", "mine"), is_terminating=True),
    )
    assert len(index.asked) == 2


def test_a_moved_reference_has_both_storages_reconciled() -> None:
    index = Index()
    old, new = server("a", "one"), server("a", "two")
    index.on_change(None, old)
    index.asked.clear()
    index.on_change(old, new)
    assert sorted(index.asked) == [("team", "one"), ("team", "two")]


def test_any_other_change_has_no_storage_reconciled() -> None:
    index = Index()
    old = server("a", "one")
    index.on_change(None, old)
    index.asked.clear()
    index.on_change(old, old | {"status": {"phase": "Running"}})
    assert index.asked == []


def test_a_deleted_consumer_is_forgotten_and_reported() -> None:
    index = Index()
    old = server("a", {"name": "mine", "namespace": "team"}, "other")
    index.on_change(None, old)
    index.on_change(old, None)
    assert index.usages(("team", "mine")) == ()
    assert index.asked == [("team", "mine")] * 2


def test_a_malformed_reference_counts_as_none() -> None:
    index = Index()
    index.on_change(None, server("a", 17))
    index.on_change(None, {"kind": "MCPServer", "metadata": {"namespace": "team", "name": "b"}})
    assert index.asked == []
