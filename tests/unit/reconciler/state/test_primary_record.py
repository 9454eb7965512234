"""The record of the primary, which the Service of a storage keeps in an annotation."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from reconciler.manifests import services
from reconciler.state.primary_record import PrimaryRecord, PrimaryService
from shared import names
from shared.objects.resources import Object
from tests.support.storages import NOW, STORAGE, stored

SERVICE = stored(services.primary_service(STORAGE, 1))
BEFORE = PrimaryRecord(epoch=6, to=1, reason="PrimaryLost", began="b", ended="e", took=0.2, handled="first")


def noted(text: object) -> Object:
    return {"metadata": {"annotations": {names.ANNOTATION_PRIMARY: text}}}


@pytest.mark.parametrize(
    "claim", [PrimaryRecord(), BEFORE, PrimaryRecord(epoch=1, to=0, request="now", began="b")], ids=str
)
def test_a_record_reads_as_it_was_written(claim: PrimaryRecord) -> None:
    assert PrimaryRecord.of(noted(claim.text)) == claim


@pytest.mark.parametrize(
    "service",
    [{}, {"metadata": {}}, {"metadata": {"annotations": None}}]
    + [
        noted(text) for text in ("", "{", "[]", "7", "null", '"x"', '{"epoch": "x"}', '{"took": []}', '{"to": null}', 7)
    ],
    ids=str,
)
def test_a_malformed_record_counts_as_none(service: Any) -> None:
    assert PrimaryRecord.of(service) == PrimaryRecord()


def test_a_claim_is_under_way_until_it_has_ended() -> None:
    claim = BEFORE.claim(2, "Asked", NOW, "second")
    assert (claim.epoch, claim.to, claim.reason, claim.began) == (7, 2, "Asked", "2026-11-23T12:00:00Z")
    assert (PrimaryRecord().is_under_way, claim.is_under_way, claim.end(NOW).is_under_way) == (False, True, False)


def test_the_clients_primary_is_known_unless_a_claim_is_under_way() -> None:
    claim = PrimaryRecord(1, 2)
    moving = claim.claim(0, "Asked", NOW)
    assert (
        PrimaryRecord().settled_primary,
        claim.settled_primary,
        moving.settled_primary,
        moving.end(NOW).settled_primary,
    ) == (None, 2, None, 0)
    assert moving.withdrawn(2).settled_primary == 2
    assert (claim.status, moving.epoch) == (None, 2)


def test_a_users_request_counts_as_handled_only_when_the_move_has_ended() -> None:
    claim = BEFORE.claim(2, "Asked", NOW, "second")
    assert (claim.request, claim.handled) == ("second", "first")
    ended = claim.end(NOW)
    assert (ended.request, ended.handled) == ("", "second")
    assert BEFORE.claim(2, "PrimaryLost", NOW).end(NOW).handled == "first"


def test_a_withdrawn_claim_leaves_the_users_request_open() -> None:
    withdrawn = BEFORE.claim(2, "Asked", NOW, "second").withdrawn(1)
    assert withdrawn == PrimaryRecord(epoch=8, to=1, handled="first")
    assert (withdrawn.is_under_way, withdrawn.status) == (False, None)


def test_a_change_of_the_primary_is_reported_once_it_is_done() -> None:
    claim = BEFORE.claim(2, "PrimaryLost", NOW)
    assert claim.status is None
    ended = claim.end(NOW + timedelta(seconds=1), 0.12345)
    assert ended.status is not None
    assert ended.status.to_object() == {"at": "2026-11-23T12:00:01Z", "reason": "PrimaryLost", "seconds": 0.123}
    assert BEFORE.status is None  # a malformed time


@pytest.mark.parametrize(
    ("selector", "instance"),
    [({"toolhive.stacklok.dev/node": "12"}, 12), ({"toolhive.stacklok.dev/node": "x"}, None), ({}, None), (None, None)],
    ids=str,
)
def test_the_selector_names_the_primary(selector: Any, instance: int | None) -> None:
    assert PrimaryService.of({"spec": {"selector": selector}}).primary == instance


@pytest.mark.parametrize("service", [{}, {"spec": {}}], ids=str)
def test_without_a_selector_no_instance_is_primary(service: Any) -> None:
    assert PrimaryService.of(service).primary is None


def test_moving_clients_changes_only_the_selector_and_the_record() -> None:
    service = copy.deepcopy(SERVICE)
    service["metadata"]["annotations"] = {"foreign": "kept"}
    before = copy.deepcopy(service)
    moved = PrimaryService.of(service).pointing_at(2, BEFORE)
    assert service == before
    assert PrimaryService.of(moved) == PrimaryService(moved, 2, BEFORE)
    assert moved["metadata"]["annotations"].pop("foreign") == "kept"
    assert moved["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert {**moved["spec"], "selector": None} == {**before["spec"], "selector": None}
    assert moved["spec"]["selector"] == services.primary_service(STORAGE, 2)["spec"]["selector"]


def test_a_claim_moves_no_client() -> None:
    written = PrimaryService.of(SERVICE).with_record(BEFORE)
    assert PrimaryRecord.of(written) == BEFORE
    assert written["spec"] == SERVICE["spec"]
