"""The record of a change of the primary, which a Service or an EndpointSlice keeps in an annotation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.state.primary_record import PrimaryRecord
from shared import names
from shared.objects.resources import Object
from tests.support.storages import NOW

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
    assert claim.at(4) == PrimaryRecord(4, 2)
    assert (claim.status, moving.epoch) == (None, 2)


def test_a_users_request_counts_as_handled_only_when_the_move_has_ended() -> None:
    claim = BEFORE.claim(2, "Asked", NOW, "second")
    assert (claim.request, claim.handled) == ("second", "first")
    ended = claim.end(NOW)
    assert (ended.request, ended.handled) == ("", "second")
    assert BEFORE.claim(2, "PrimaryLost", NOW).end(NOW).handled == "first"


def test_a_consent_counts_as_used_only_when_the_move_has_ended() -> None:
    claim = replace(BEFORE, used="old").claim(2, "PromotedByHand", NOW, consent="mine-valkey-2@1")
    assert (claim.consent, claim.used, claim.handled) == ("mine-valkey-2@1", "old", "first")
    ended = claim.end(NOW)
    assert (ended.consent, ended.used, ended.handled) == ("", "mine-valkey-2@1", "first")
    assert ended.claim(1, "PrimaryLost", NOW).end(NOW).used == "mine-valkey-2@1"
    assert PrimaryRecord.of(noted(claim.text)) == claim


def test_a_claim_after_one_that_broke_off_leaves_an_epoch_for_its_withdrawal() -> None:
    broken_off = BEFORE.claim(2, "Asked", NOW)
    assert (broken_off.epoch, broken_off.claim(0, "PrimaryLost", NOW).epoch) == (7, 9)


def test_a_change_of_the_primary_is_reported_once_it_is_done() -> None:
    claim = BEFORE.claim(2, "PrimaryLost", NOW)
    assert claim.status is None
    ended = claim.end(NOW + timedelta(seconds=1), 0.12345)
    assert ended.status is not None
    assert ended.status.to_object() == {"at": "2026-11-23T12:00:01Z", "reason": "PrimaryLost", "seconds": 0.123}
    assert BEFORE.status is None  # a malformed time
