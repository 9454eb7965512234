"""A person's consent to lose writes holds for one incident, and for no other one."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.actions.plan import STEADY_SECONDS, Plan
from reconciler.actions.valkey import Promote
from reconciler.plan.planner import plan
from reconciler.state.instance import Instance
from reconciler.state.primary_record import PrimaryRecord
from reconciler.state.storage_state import StorageState
from shared.session_storage.sizes import Size
from tests.support.storages import (
    NOW,
    OFFSET,
    SETTINGS,
    clients_way,
    observed,
    pod,
    primary,
    replica,
    replicated,
    unlinked,
    with_children,
)

NAMED = re.compile(r"toolhive\.stacklok\.dev/promote=(\S+) --overwrite")
LONG_SILENT = 60.0
LOST = Instance(0, pod(0, Size.LARGE), problem="unreachable", silent_for=LONG_SILENT)
HIDDEN = Instance(2, pod(2, Size.LARGE), problem="unreachable", silent_for=LONG_SILENT)
NEAR, FAR = unlinked(replica(1), down_for=99), unlinked(replica(2), down_for=99, lineage="b" * 40)
HEALTHY = (primary(0, Size.LARGE, 1, 2), replica(1), replica(2))
DIFFER, MAY_SERVE = (LOST, NEAR, FAR), (LOST, NEAR, HIDDEN)
"""Two replicas of different histories; and a primary that may go on with a replica which nobody sees."""


class Storage:
    """A storage whose status each pass writes, as the reconciler sees it again in the next one."""

    def __init__(self) -> None:
        self.before = observed("large")
        self.now = NOW
        self.way = clients_way(0)

    def seen(self, *instances: Instance) -> StorageState:
        known = with_children(self.before, {**self.before.children, **self.way})
        return replace(known, instances=instances)

    def look(self, *instances: Instance, later: timedelta = timedelta(seconds=5)) -> Plan:
        self.now += later
        decided = plan(self.seen(*instances), SETTINGS, self.now)
        if decided.status is not None:
            status = type(self.before.storage.status).model_validate(decided.status)
            self.before = replace(self.before, storage=replace(self.before.storage, status=status))
        return decided

    def annotate(self, value: str) -> None:
        requests = replace(self.before.storage.requests, promotion=value)
        self.before = replace(self.before, storage=replace(self.before.storage, requests=requests))

    def end_of(self, promotion: Promote) -> None:
        """Carry a promotion out: the EndpointSlice names the instance, and holds the record."""
        record = promotion.record.end(self.now)
        self.way = clients_way(record.to, record)

    def message(self, kind: str) -> str:
        found = self.before.storage.condition(kind)
        return found.message if found is not None else ""

    def told(self, kind: str) -> tuple[str, str] | None:
        found = self.before.storage.condition(kind)
        return (found.status, found.reason) if found is not None else None

    @property
    def command(self) -> str:
        """The consent that the message asks for."""
        (value,) = NAMED.findall(self.message("FailoverBlocked"))
        return str(value)


@pytest.fixture(name="storage")
def storage_fixture() -> Storage:
    return Storage()


def promotions(decided: Plan) -> list[Promote]:
    return [step for step in decided.steps if isinstance(step, Promote)]


def test_the_consent_that_the_message_asks_for_promotes_the_instance_that_it_names(storage: Storage) -> None:
    storage.look(*DIFFER)
    storage.annotate(storage.command)
    (promotion,) = promotions(storage.look(*DIFFER))
    assert promotion.instance.index == 1
    assert promotion.record.consent == storage.before.storage.requests.promotion
    assert storage.told("FailoverBlocked") == ("True", "HistoriesDiffer"), "until it is promoted, the incident goes on"


def test_a_person_may_name_another_instance_than_the_recommended_one(storage: Storage) -> None:
    storage.look(*DIFFER)
    storage.annotate(storage.command.replace("mine-valkey-1", "mine-valkey-2"))
    (promotion,) = promotions(storage.look(*DIFFER))
    assert promotion.instance.index == 2


def test_a_forgotten_consent_to_lose_writes_promotes_no_instance(storage: Storage) -> None:
    """Nobody took the annotation away, and today a primary and a replica are cut off: they may go on taking writes."""
    for value in ("mine-valkey-1", "mine-valkey-1@", "mine-valkey-1@0123456789"):
        storage.annotate(value)
        for instances in (MAY_SERVE, DIFFER):
            assert promotions(storage.look(*instances)) == []
            assert storage.told("ConsentAccepted") == ("False", "OutdatedConsent")
        assert storage.command in storage.message("ConsentAccepted"), "it says which one would count"


def test_a_consent_counts_for_the_reason_that_it_was_given_for(storage: Storage) -> None:
    storage.look(*DIFFER)
    storage.annotate(storage.command)
    assert promotions(storage.look(*MAY_SERVE)) == []
    assert storage.told("FailoverBlocked") == ("True", "PrimaryMayServe")
    assert promotions(storage.look(*DIFFER)), "the same incident, for the same reason"


@pytest.mark.parametrize("between", [HEALTHY, (replace(LOST, silent_for=1.0), replica(1), replica(2))])
def test_a_consent_ends_with_its_incident_although_the_primary_never_changed(
    storage: Storage, between: tuple[Instance, ...]
) -> None:
    storage.look(*DIFFER)
    former = storage.command
    storage.look(*between)
    storage.annotate(former)
    assert promotions(storage.look(*DIFFER)) == []
    assert storage.command != former
    storage.annotate(storage.command)
    assert promotions(storage.look(*DIFFER))


def test_a_new_leader_that_cannot_know_what_happened_before_it_led_asks_anew(storage: Storage) -> None:
    empty = unlinked(replica(2), down_for=None, offset=0, keys=0, lineage="c" * 40)
    gone = Instance(0, silent_for=LONG_SILENT)
    behind = (gone, NEAR, empty)
    storage.look(*behind)
    former = storage.command
    storage.look(replace(gone, silent_for=1.0), *behind[1:])
    storage.look(*behind, later=timedelta(seconds=20))
    storage.annotate(former)
    assert promotions(storage.look(*behind)) == []


def test_an_instance_that_comes_and_goes_begins_no_new_incident(storage: Storage) -> None:
    behind = (Instance(0, silent_for=LONG_SILENT), NEAR, Instance(2, pod(2, Size.LARGE, status={}), silent_for=99.0))
    behind = (*behind[:2], replace(behind[2], pod={**pod(2, Size.LARGE), "status": {"phase": "Failed"}}))
    storage.look(*behind)
    former = storage.command
    storage.look(*behind[:2], replace(behind[2], silent_for=1.0))
    assert storage.told("FailoverBlocked") == ("True", "CandidateBehind")
    storage.look(*behind)
    assert storage.command == former


def test_a_consent_is_used_once(storage: Storage) -> None:
    storage.look(*DIFFER)
    used = storage.command
    storage.annotate(used)
    (promotion,) = promotions(storage.look(*DIFFER))
    storage.end_of(promotion)
    now_primary = primary(1, Size.LARGE, 2)
    storage.look(now_primary, replica(2), replica(0))
    assert storage.told("ConsentAccepted") == ("True", "Used")
    lost = Instance(1, pod(1, Size.LARGE), problem="unreachable", silent_for=LONG_SILENT)
    apart = unlinked(replica(0), down_for=99, lineage="b" * 40)
    assert promotions(storage.look(lost, unlinked(replica(2), down_for=99), apart)) == []
    assert used not in storage.message("FailoverBlocked")


def test_a_promotion_that_failed_has_used_no_consent_up(storage: Storage) -> None:
    storage.look(*DIFFER)
    storage.annotate(storage.command)
    (promotion,) = promotions(storage.look(*DIFFER))
    claimed = promotion.record.put_on(storage.way["services", "mine-valkey"])
    storage.way = {**storage.way, ("services", "mine-valkey"): claimed}
    assert storage.seen().primary_service is not None
    (again,) = promotions(storage.look(*DIFFER))
    assert again.record.epoch > promotion.record.epoch
    # Another process takes the claim away, and goes on.
    withdrawn = PrimaryRecord().at(again.record.epoch + 1)
    storage.way = clients_way(0, withdrawn)
    assert promotions(storage.look(*DIFFER))


def test_while_the_primary_may_take_writes_the_message_says_how_to_make_sure_and_asks_for_no_consent(
    storage: Storage,
) -> None:
    storage.look(*MAY_SERVE)
    message = storage.message("FailoverBlocked")
    assert "promote=" not in message
    assert message.endswith(
        "bring them back or, if their nodes are lost for good, delete their pods: `kubectl delete pod -n team"
        " mine-valkey-0-0 mine-valkey-2-0 --force --grace-period=0`; mine-valkey-1 could take over then, without every"
        f" write that it never received: those after offset {OFFSET} of aaaaaaaa"
    )


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        pytest.param("mine-valkey-9", "UnknownInstance", id="no such instance"),
        pytest.param("mine-valkey-0", "InstanceNotReady", id="it does not answer"),
        pytest.param("mine-valkey-2", "InstanceEmpty", id="all others would empty themselves"),
    ],
)
def test_a_consent_to_more_loss_than_need_be_counts_for_nothing(storage: Storage, named: str, reason: str) -> None:
    empty = replicated(FAR, keys=0, offset=0)
    gone = Instance(0, silent_for=LONG_SILENT)
    storage.look(gone, NEAR, empty)
    instance, _, incident = storage.command.partition("@")
    assert instance == "mine-valkey-1"
    storage.annotate(f"{named}@{incident}")
    assert promotions(storage.look(gone, NEAR, empty)) == []
    assert storage.told("ConsentAccepted") == ("False", reason)
    assert storage.command in storage.message("ConsentAccepted")


def test_a_person_may_begin_anew_where_no_instance_that_answers_has_data(storage: Storage) -> None:
    empty = unlinked(replica(0), offset=0, keys=0, lineage="c" * 40, down_for=None)
    sight = (empty, Instance(1, silent_for=LONG_SILENT), Instance(2, silent_for=LONG_SILENT))
    storage.look(*sight)
    assert "which has no data, nor has any other that answers" in storage.message("FailoverBlocked")
    storage.annotate(storage.command)
    (promotion,) = promotions(storage.look(*sight))
    assert promotion.instance.index == 0


def test_where_no_instance_answers_there_is_nothing_to_consent_to(storage: Storage) -> None:
    nobody = tuple(Instance(index, silent_for=LONG_SILENT) for index in range(3))
    storage.look(*nobody)
    assert "promote=" not in storage.message("FailoverBlocked")


def test_a_consent_that_nobody_takes_away_is_told_once(storage: Storage) -> None:
    storage.annotate("mine-valkey-1@0123456789")
    assert [event.reason for event in storage.look(*HEALTHY).events].count("OutdatedConsent") == 1
    assert storage.look(*HEALTHY) == Plan(requeue_after_seconds=STEADY_SECONDS, is_at_rest=True)
    assert "promote-`" in storage.message("ConsentAccepted")


SIGHTS = st.sampled_from(
    [
        HEALTHY,
        DIFFER,
        MAY_SERVE,
        (LOST, NEAR, unlinked(replica(2), down_for=99, offset=0, keys=0)),
        (Instance(0, silent_for=LONG_SILENT), NEAR, Instance(2, silent_for=LONG_SILENT)),
        (replace(LOST, silent_for=1.0), NEAR, HIDDEN),
    ]
)


@settings(max_examples=40)
@given(before=st.lists(SIGHTS, max_size=6), between=st.lists(SIGHTS, max_size=3), after=st.lists(SIGHTS, max_size=6))
def test_no_value_that_was_printed_before_the_primary_served_counts_after_it(
    before: list[tuple[Instance, ...]], between: list[tuple[Instance, ...]], after: list[tuple[Instance, ...]]
) -> None:
    storage, printed = Storage(), set[str]()
    for sight in before:
        storage.look(*sight)
        printed |= set(NAMED.findall(storage.message("FailoverBlocked")))
    storage.look(*HEALTHY)
    for sight in between:
        storage.look(*sight)
    for value in printed:
        storage.annotate(value)
        for sight in after:
            taken = [step for step in promotions(storage.look(*sight)) if step.record.reason == "PromotedByHand"]
            assert not taken, f"{value} is from an incident that is over"


@settings(max_examples=40)
@given(sights=st.lists(SIGHTS, min_size=1, max_size=4), seconds=st.integers(1, 3600))
def test_the_same_sight_is_reported_in_the_same_words_however_late(
    sights: list[tuple[Instance, ...]], seconds: int
) -> None:
    storage = Storage()
    for sight in sights:
        storage.look(*sight)
    last = sights[-1]
    aged = tuple(
        replace(each, silent_for=each.silent_for + seconds)
        if each.facts is None
        else each
        if each.replication.down_for is None
        else replicated(each, down_for=each.replication.down_for + seconds)
        for each in last
    )
    if last[0].silent_for == 1.0:
        return  # it is about to be known that the primary is lost
    storage.look(*last)
    decided = storage.look(*aged, later=timedelta(seconds=seconds))
    assert (decided.status, decided.events) == (None, ())
