"""The Service of the primary, its claim, and the EndpointSlices that say where clients get to."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from reconciler.manifests import services
from reconciler.state.instance import Instance
from reconciler.state.primary_record import PrimaryRecord
from reconciler.state.primary_service import IPV4, IPV6, PrimaryService, endpoints_at
from shared import names
from shared.objects.resources import Object
from tests.support.storages import NOW, STORAGE, clients_way, pod, primary, primary_service, replica, stored

LAST = PrimaryRecord(epoch=6, to=1, reason="PrimaryLost", began="b", ended="e", took=0.2, handled="first")
CLAIM = LAST.claim(2, "Asked", NOW, "second")


def way(record: PrimaryRecord | None = None) -> tuple[Object, Object]:
    service, endpoint_slice = clients_way(1, record).values()
    return service, endpoint_slice


def claimed(record: PrimaryRecord) -> PrimaryService:
    """Observe a Service with a claim, and an EndpointSlice with the record of the last change."""
    service, endpoint_slice = way(LAST)
    return PrimaryService.of(PrimaryService.of(service).claimed(record), [endpoint_slice])


@pytest.mark.parametrize(
    ("labels", "instance"),
    [({names.LABEL_INSTANCE: "12"}, 12), ({names.LABEL_INSTANCE: "x"}, None), ({}, None), (None, None)],
    ids=str,
)
def test_the_label_of_the_endpoint_slice_names_the_primary(labels: Any, instance: int | None) -> None:
    service, endpoint_slice = way()
    endpoint_slice["metadata"]["labels"] = labels
    assert PrimaryService.of(service, [endpoint_slice]).primary == instance


def test_a_selector_names_the_primary_as_long_as_there_is_no_endpoint_slice() -> None:
    """A former release leaves one, and so does an uninstallation."""
    service, endpoint_slice = way()
    service["spec"]["selector"] = {names.LABEL_INSTANCE: "2"}
    assert (PrimaryService.of(service).primary, PrimaryService.of(service, [endpoint_slice]).primary) == (2, 1)
    assert not PrimaryService.of(service, [endpoint_slice]).is_ours_to_point
    del service["spec"]["selector"]
    assert PrimaryService.of(service).primary is None
    assert (PrimaryService.of(service).is_ours_to_point, primary_service().is_ours_to_point) == (False, True)


def test_a_claim_counts_until_the_endpoint_slice_has_a_record_as_new() -> None:
    seen = claimed(CLAIM)
    assert (seen.record, seen.last_change) == (CLAIM, LAST)
    moved = PrimaryService.of(seen.manifest, seen.pointing_at(replica(2), CLAIM.end(NOW)))
    assert (moved.record, moved.last_change, moved.primary) == (CLAIM.end(NOW), CLAIM.end(NOW), 2)


def test_a_claim_that_is_given_up_leaves_the_users_request_open() -> None:
    given_up = LAST.at(CLAIM.epoch)
    seen = claimed(given_up)
    assert (seen.record, seen.record.is_under_way, seen.record.handled) == (given_up, False, "first")


def test_a_withdrawn_claim_counts_no_longer_and_clients_stay() -> None:
    seen = claimed(CLAIM)
    withdrawn = seen.withdrawn()
    again = PrimaryService.of(seen.manifest, [withdrawn])
    assert (again.record, again.primary) == (LAST.at(8), 1)
    assert withdrawn["endpoints"] == seen.slices[IPV4]["endpoints"]
    assert again.record.claim(0, "PrimaryLost", NOW).epoch == CLAIM.claim(0, "PrimaryLost", NOW).epoch


def test_moving_clients_changes_only_the_endpoint_the_label_and_the_record() -> None:
    service, endpoint_slice = way(LAST)
    endpoint_slice["metadata"]["annotations"]["foreign"] = "kept"
    before = copy.deepcopy(endpoint_slice)
    (moved,) = PrimaryService.of(service, [endpoint_slice]).pointing_at(replica(2), CLAIM)
    assert endpoint_slice == before
    assert PrimaryRecord.of(moved) == CLAIM
    assert moved["metadata"]["labels"] == {**before["metadata"]["labels"], names.LABEL_INSTANCE: "2"}
    assert moved["endpoints"][0]["addresses"] == ["10.1.0.3"]
    assert moved["endpoints"][0]["targetRef"]["name"] == "mine-valkey-2-0"
    assert moved["metadata"]["annotations"]["foreign"] == "kept"
    assert moved["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert {**moved, "metadata": 0, "endpoints": 0} == {**before, "metadata": 0, "endpoints": 0}


def test_a_claim_moves_no_client() -> None:
    service, endpoint_slice = way(LAST)
    written = PrimaryService.of(service, [endpoint_slice]).claimed(CLAIM)
    assert PrimaryRecord.of(written) == CLAIM
    assert written["spec"] == service["spec"]


def test_clients_are_refused_where_a_pod_is_gone_or_about_to_go() -> None:
    there = primary()
    assert [each["addresses"] for each in endpoints_at(there, IPV4)] == [["10.1.0.1"]]
    assert endpoints_at(Instance(0), IPV4) == []
    assert endpoints_at(Instance(0, outlives_at="10.1.0.1"), IPV4) == []
    assert endpoints_at(Instance(0, pod(deletionTimestamp="2026-11-23T12:00:00Z")), IPV4) == []
    assert endpoints_at(there, IPV6) == []


def test_a_service_of_two_ip_families_has_an_endpoint_slice_for_each() -> None:
    service, _ = way()
    service["spec"]["ipFamilies"] = [IPV6, IPV4]
    there = pod(1)
    there["status"]["podIPs"] = [{"ip": "fd00::2"}, {"ip": "10.1.0.2"}]
    slices = [stored(each) for each in services.primary_slices(STORAGE, (IPV6, IPV4), Instance(1, there), LAST)]
    assert [each["metadata"]["name"] for each in slices] == ["mine-valkey", "mine-valkey-ipv4"]
    seen = PrimaryService.of(service, slices)
    assert (seen.primary, seen.record, seen.is_ours_to_point) == (1, LAST, True)
    assert not PrimaryService.of(service, slices[:1]).is_ours_to_point
    there = pod(2)
    there["status"]["podIPs"] = [{"ip": "fd00::3"}, {"ip": "10.1.0.3"}]
    first, second = seen.pointing_at(Instance(2, there), CLAIM)
    assert (first["addressType"], first["endpoints"][0]["addresses"]) == (IPV6, ["fd00::3"])
    assert (second["addressType"], second["endpoints"][0]["addresses"]) == (IPV4, ["10.1.0.3"])
    assert (PrimaryRecord.of(first), PrimaryRecord.of(second)) == (CLAIM, PrimaryRecord())
