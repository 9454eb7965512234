"""Which consumers may use a storage, and which copies of its connection Secret other namespaces have."""

from __future__ import annotations

from reconciler.manifests import secrets
from reconciler.state.owned_objects import original_of
from reconciler.state.storage_state import Sharing
from shared.consumers.identity import Consumer, Usage
from shared.objects.resources import Object
from tests.support.storages import STORAGE, session_storage

KEY = ("team", "mine")
SHARED = session_storage({"allowedNamespaces": ["shared"]})


def consumer(namespace: str) -> Consumer:
    return Consumer("MCPServer", namespace, "srv")


def usage(namespace: str, *, is_granted: bool = False, is_terminating: bool = False) -> Usage:
    return Usage(consumer(namespace), KEY, is_granted=is_granted, is_terminating=is_terminating)


def test_consumers_are_admitted_by_their_namespace_or_by_a_grant() -> None:
    usages = [usage("team"), usage("shared"), usage("granted", is_granted=True), usage("stranger")]
    sharing = Sharing.of(SHARED, usages)
    assert sharing.admitted == (consumer("team"), consumer("shared"), consumer("granted"))
    assert sharing.refused == (consumer("stranger"),)


def test_other_namespaces_with_an_admitted_consumer_should_have_a_copy() -> None:
    usages = [usage("shared"), usage("team"), usage("granted", is_granted=True), usage("stranger")]
    assert Sharing.of(SHARED, usages).namespaces == ("granted", "shared")


def test_a_consumer_that_is_being_deleted_no_longer_counts() -> None:
    assert (
        Sharing.of(SHARED, [usage("shared", is_terminating=True), usage("stranger", is_terminating=True)]) == Sharing()
    )


def test_copies_are_told_from_foreign_secrets() -> None:
    copied = secrets.mirrored_secret(secrets.connection_secret(STORAGE, "p" * 32), "shared")
    foreign: Object = {"metadata": {"name": copied["metadata"]["name"], "namespace": "taken"}}
    sharing = Sharing.of(SHARED, []).with_secrets(KEY, {"shared": copied, "taken": foreign})
    assert sharing.copies == {"shared": copied}
    assert sharing.obstructed == ("taken",)
    assert (original_of(copied), original_of(foreign)) == (KEY, None)


def test_a_copy_for_another_storage_does_not_count() -> None:
    copied = secrets.mirrored_secret(secrets.connection_secret(STORAGE, "p" * 32), "shared")
    sharing = Sharing.of(SHARED, []).with_secrets(("team", "other"), {"shared": copied})
    assert (sharing.copies, sharing.obstructed) == ({}, ("shared",))
