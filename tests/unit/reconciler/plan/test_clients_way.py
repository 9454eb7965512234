"""What leads clients to the primary, and when the reconciler writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.actions.kubernetes import Delete, Write
from reconciler.actions.plan import Step
from reconciler.actions.valkey import Hold, Promote, SwitchOver
from reconciler.plan.planner import plan
from reconciler.state.instance import Instance
from reconciler.state.primary_record import PrimaryRecord
from reconciler.state.primary_service import PrimaryService
from reconciler.state.storage_state import StorageState
from shared import names
from shared.objects.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES, Object
from shared.session_storage.sizes import Size
from tests.support.storages import (
    NOW,
    SERVICE,
    SETTINGS,
    address,
    clients_way,
    observed,
    pod,
    primary,
    replica,
    stored,
    unlinked,
    with_children,
    without,
)

GOING = "2026-11-23T12:00:00Z"
LARGE = (primary(0, Size.LARGE, 1, 2), replica(1), replica(2))


def steps_of(before: StorageState) -> tuple[Step, ...]:
    return plan(before, SETTINGS, NOW).steps


def led(before: StorageState, way: dict[tuple[str, str], Object]) -> StorageState:
    return with_children(before, {**before.children, **way})


def slices(steps: tuple[Step, ...]) -> list[Any]:
    """List where clients get to by each EndpointSlice that is written."""
    written = [step.obj for step in steps if isinstance(step, Write) and step.resource is ENDPOINT_SLICES]
    return [[each["addresses"] for each in obj["endpoints"]] for obj in written]


def test_a_primary_that_comes_back_under_another_address_is_where_clients_get_to() -> None:
    moved = pod(0)
    moved["status"]["podIP"] = "10.1.0.99"
    (step,) = steps_of(observed("small", replace(primary(), pod=moved)))
    assert isinstance(step, Write)
    assert (step.resource, step.obj["metadata"]["resourceVersion"]) == (ENDPOINT_SLICES, "7")
    assert step.obj["endpoints"][0]["addresses"] == ["10.1.0.99"]


def test_clients_of_a_pod_that_is_gone_or_going_are_refused_at_once_if_nobody_can_take_over() -> None:
    for lost in (
        Instance(0),
        Instance(0, outlives_at=address(0)),
        replace(primary(), pod=pod(deletionTimestamp=GOING)),
    ):
        assert slices(steps_of(observed("small", lost))) == [[]]


def test_clients_stay_with_a_primary_that_goes_on_until_another_instance_takes_over() -> None:
    going: Any = {"deletionTimestamp": "2026-11-23T12:00:30Z", "deletionGracePeriodSeconds": 30}
    held, *others = steps_of(observed("small", replace(primary(), pod=pod(**going))))
    assert isinstance(held, Hold)
    assert slices((held, *others)) == []


def test_a_primary_whose_container_restarts_stays_where_clients_get_to() -> None:
    """Its address stays too, and its node refuses connections until it listens again."""
    assert slices(steps_of(observed("medium", replace(primary(0, Size.MEDIUM), facts=None, problem="down")))) == []


def test_while_a_replica_can_take_over_clients_are_led_on_and_not_refused() -> None:
    """kube-proxy takes the second of two changes only a second after the first."""
    outliving = replace(LARGE[0], pod=None, outlives_at=address(0))
    going = replace(LARGE[0], pod=pod(0, Size.LARGE, deletionTimestamp=GOING))
    for old in (outliving, going):
        (step,) = steps_of(observed("large", old, *LARGE[1:]))
        assert isinstance(step, SwitchOver)
        assert (step.old.address, step.new, step.record.reason) == (address(0), LARGE[1], "PodIsDeleted")


def test_clients_of_a_primary_that_nobody_hears_are_refused_until_its_fence_has_closed() -> None:
    """A dial into a node that is cut off would not notice that another instance takes over."""
    cut_off = Instance(0, pod(0, Size.LARGE), problem="unreachable", silent_for=1.5)
    deaf = tuple(unlinked(each, down_for=1) for each in LARGE[1:])
    assert slices(steps_of(observed("large", cut_off, *deaf))) == [[]]
    still_heard = (replica(1), replica(2))
    assert slices(steps_of(observed("large", cut_off, *still_heard))) == []


def test_nobody_is_led_to_an_instance_that_is_still_a_replica_while_others_start() -> None:
    """The other instances would follow it in a hot loop, which starves a node on which many storages start."""
    waits, started = (unlinked(replica(index), keys=0, offset=0) for index in (0, 1))
    starting = Instance(2, pod(2, Size.LARGE), problem="down", silent_for=1.0)
    assert slices(steps_of(observed("large", waits, started, starting))) == [[]]


def test_a_failover_that_is_a_moment_away_is_not_preceded_by_a_refusal() -> None:
    dead = Instance(0, silent_for=0.1)
    still_linked = steps_of(observed("large", dead, replica(1), replica(2)))
    assert slices(still_linked) == []
    unheard = tuple(unlinked(each, down_for=0) for each in LARGE[1:])
    (promotion,) = [step for step in steps_of(observed("large", dead, *unheard)) if isinstance(step, Promote)]
    assert slices(steps_of(observed("large", dead, *unheard))) == []
    assert promotion.instance.index == 1


def test_a_service_of_a_former_release_keeps_its_selector_until_its_endpoint_slice_exists() -> None:
    """Clients would get nowhere in between."""
    way = clients_way(0, PrimaryRecord(4, 0, handled="please"))
    way[SERVICES.plural, SERVICE]["spec"]["selector"] = {names.LABEL_INSTANCE: "0"}
    del way[ENDPOINT_SLICES.plural, SERVICE]
    before = led(without(observed(), (ENDPOINT_SLICES.plural, SERVICE)), way)
    first, second = steps_of(before)
    assert isinstance(first, Write)
    assert isinstance(second, Write)
    assert (first.resource, second.resource) == (ENDPOINT_SLICES, SERVICES)
    assert PrimaryRecord.of(first.obj) == PrimaryRecord(4, 0, handled="please")
    assert "selector" not in second.obj["spec"]
    assert PrimaryService.of(stored(second.obj), [stored(first.obj)]).is_ours_to_point


def test_what_would_lead_clients_elsewhere_goes_once_the_service_has_no_selector() -> None:
    """Kubernetes' controllers leave their EndpointSlice and Endpoints behind when a Service loses its selector."""
    stray = stored({"metadata": {"name": "mine-valkey-x7k2p", "namespace": "team"}, "endpoints": []})
    before = replace(observed(), stray_slices=(stray,))
    assert steps_of(before) == (Delete.of(ENDPOINT_SLICES, stray), Delete(ENDPOINTS, "team", SERVICE))
    selecting = clients_way()
    selecting[SERVICES.plural, SERVICE]["spec"]["selector"] = {names.LABEL_INSTANCE: "0"}
    assert not [step for step in steps_of(led(before, selecting)) if isinstance(step, Delete)]


def test_the_service_keeps_a_copy_of_the_last_change_and_of_no_claim() -> None:
    way = clients_way(0, PrimaryRecord(4, 0))
    way[SERVICES.plural, SERVICE]["metadata"]["annotations"] = {names.ANNOTATION_PRIMARY: PrimaryRecord(3, 0).text}
    (step,) = steps_of(led(observed(), way))
    assert isinstance(step, Write)
    assert (step.resource, PrimaryRecord.of(step.obj)) == (SERVICES, PrimaryRecord(4, 0))
    claim = PrimaryRecord(4, 0).claim(1, "Asked", NOW)
    way[SERVICES.plural, SERVICE]["metadata"]["annotations"] = {names.ANNOTATION_PRIMARY: claim.text}
    assert steps_of(led(observed(), way)) == ()
