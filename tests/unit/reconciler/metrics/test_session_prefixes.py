"""Whose a session is, by the prefix of its key."""

from __future__ import annotations

from reconciler.metrics.session_prefixes import MAX_BYTES, MAX_PREFIXES, SessionPrefixes
from reconciler.metrics.storage_lines import UNKNOWN
from shared import names
from shared.consumers.identity import Consumer, Usage
from shared.consumers.stored_consumer import StoredConsumer

KEY = ("team", "mine")


def usage(name: str, prefix: str = "", kind: str = "MCPServer") -> Usage:
    return Usage(Consumer(kind, "team", name), KEY, key_prefix=prefix)


def test_a_consumer_has_its_own_prefix_and_the_one_that_its_user_chose() -> None:
    found = SessionPrefixes.of([usage("a"), usage("b", "old:"), usage("c", "older:b:")])
    assert found.texts == (
        *(names.key_prefix("MCPServer", "team", name) for name in "abc"),
        "older:b:",
        "old:",
    )
    assert len(found.own) == 3
    assert found.by_consumer({1: 5, 2: 1, 5: 2, 0: 7}) == {
        ("team", "a"): 5,
        ("team", "b"): 3,
        ("team", "c"): 0,
        ("", UNKNOWN): 7,
    }


def test_a_prefix_that_is_the_webhooks_own_is_named_once() -> None:
    found = SessionPrefixes.of([usage("a", names.key_prefix("MCPServer", "team", "a"))])
    assert (len(found.texts), found.foreign) == (1, ())


def test_a_prefix_that_two_users_chose_is_nobodys() -> None:
    found = SessionPrefixes.of([usage("a", "thv:proxy:session:"), usage("b", "thv:proxy:session:")])
    assert found.foreign == ()


def test_a_prefix_that_is_too_long_is_nobodys() -> None:
    found = SessionPrefixes.of(
        [usage("a", "a" * MAX_BYTES), usage("b", "b" * (MAX_BYTES + 1)), usage("c", "ä" * MAX_BYTES)]
    )
    assert [prefix for prefix, _ in found.foreign] == ["a" * MAX_BYTES]


def test_kinds_without_sessions_are_not_counted() -> None:
    assert SessionPrefixes.of([usage("login", kind="MCPExternalAuthConfig")]).texts == ()


def test_consumers_of_one_name_and_two_kinds_are_one_series() -> None:
    found = SessionPrefixes.of([usage("a"), usage("a", kind="VirtualMCPServer")])
    assert found.by_consumer({1: 2, 2: 3}) == {("team", "a"): 5}


def test_so_many_labels_and_no_more() -> None:
    found = SessionPrefixes.of([usage(f"s{number}") for number in range(MAX_PREFIXES + 5)])
    assert len(found.by_consumer({})) == MAX_PREFIXES


def test_prefix_and_wiring_are_read_from_the_stored_consumer() -> None:
    consumer = {
        "apiVersion": "toolhive.stacklok.dev/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": "a", "namespace": "team", "annotations": {names.ANNOTATION_STORAGE: "mine"}},
        "spec": {"sessionStorage": {"provider": "redis", "keyPrefix": "old:"}},
    }
    seen = StoredConsumer.of(consumer).usage
    assert seen is not None
    assert (seen.key_prefix, seen.is_wired) == ("old:", False)
