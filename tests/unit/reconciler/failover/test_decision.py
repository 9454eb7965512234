"""Which instance becomes primary, and when: each case is what three instances and the API report at one moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.credentials.key_ring import KeyRing
from reconciler.failover.consent import Outage
from reconciler.failover.decision import (
    ENDLESS_SECONDS,
    FENCE_SECONDS,
    STILL_HEARD_SECONDS,
    STOPPING_SECONDS,
    URGENT_TIMEOUT_SECONDS,
    Decision,
    FailoverBlocked,
    KeepPrimary,
    LookAgain,
    NewPrimary,
    decide_primary,
)
from reconciler.failover.replication_group import ReplicationGroup, primary_silent_for
from reconciler.state import pod_status
from reconciler.state.instance import Instance, InstanceFacts
from reconciler.state.replication_info import PRIMARY, REPLICA, Replication
from shared.objects.resources import Object
from shared.session_storage.sizes import PRESETS, Size

LONG_SILENT = FENCE_SECONDS + 30.0


def group(primary: int, instances: list[Instance], expected: int) -> ReplicationGroup:
    """Build the group with the instance that the Service selects as primary."""
    (recorded,) = (each for each in instances if each.index == primary)
    others = tuple(each for each in instances if each.index != primary)
    preset = PRESETS[{1: Size.MEDIUM, 3: Size.LARGE}[expected]]
    return ReplicationGroup(("team", "cache"), None, recorded, others, preset, KeyRing())


def decide(primary: int, instances: list[Instance], expected: int) -> Decision:
    return decide_primary(group(primary, instances, expected))


def silent(index: int, problem: Any, silent_for: float, phase: str = "Running") -> Instance:
    pod = {"metadata": {}, "status": {"phase": phase}}
    return Instance(index, pod, problem=problem, silent_for=silent_for)


def speaking(index: int, role: str, replication: Replication, *, is_loading: bool = False) -> Instance:
    facts = InstanceFacts(role, is_loading, replication=replication)
    return Instance(index, {"metadata": {}, "status": {"phase": "Running"}}, facts)


def primary(index: int = 0, *, is_loading: bool = False, **said: Any) -> Instance:
    usual: dict[str, Any] = {"lineage": "a", "offset": 100, "keys": 9}
    return speaking(index, PRIMARY, Replication(**usual | said), is_loading=is_loading)


def replica(index: int, *, is_loading: bool = False, **said: Any) -> Instance:
    """Build a replica whose link broke two seconds ago, unless `changes` say otherwise."""
    usual: dict[str, Any] = {"lineage": "a", "offset": 100, "keys": 9, "upstream": "10.0.0.1", "down_for": 2}
    return speaking(index, REPLICA, Replication(**(usual | said)), is_loading=is_loading)


def linked(index: int, silence: int, **said: Any) -> Instance:
    return replica(index, is_linked=True, silence=silence, down_for=None, **said)


def restarted(index: int, keys: int = 9) -> Instance:
    """Build a replica that has restarted: its data is from its disk."""
    return replica(index, lineage=f"own-{index}", offset=0, keys=keys, down_for=None)


def down(index: int, silent_for: float = 2.0) -> Instance:
    return silent(index, "down", silent_for)


def gone(index: int, silent_for: float = 2.0) -> Instance:
    return silent(index, "", silent_for, "Failed")


def unreachable(index: int, silent_for: float = 2.0) -> Instance:
    return silent(index, "unreachable", silent_for)


def promoted(decision: Decision) -> tuple[int, str]:
    assert isinstance(decision, NewPrimary)
    return decision.instance.index, decision.reason


def test_a_primary_that_answers_stays() -> None:
    assert decide(0, [primary(), replica(1), replica(2)], 3) == KeepPrimary()


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(down(0), id="its host refuses connections"),
        pytest.param(gone(0), id="the API says that it is gone"),
        pytest.param(replica(0, lineage="own", offset=0, keys=0), id="it came back empty, as a replica"),
        pytest.param(
            primary(is_loading=True, keys=0), id="it reads its data, which takes longer than to go on without it"
        ),
        pytest.param(unreachable(0, FENCE_SECONDS), id="it does not answer, and the fence has closed"),
    ],
)
def test_the_replica_with_most_of_the_history_takes_over_from_a_primary_that_takes_no_writes(lost: Instance) -> None:
    decision = decide(0, [lost, replica(1, offset=100), replica(2, offset=101)], 3)
    assert promoted(decision) == (2, "PrimaryLost")


def test_of_equal_replicas_the_first_takes_over() -> None:
    decision = decide(0, [down(0), replica(2), replica(1)], 3)
    assert promoted(decision)[0] == 1


@pytest.mark.parametrize("lost", [down(0), gone(0)])
def test_a_primary_that_replicas_still_hear_is_observed_again_at_once(lost: Instance) -> None:
    decision = decide(0, [lost, linked(1, 0), replica(2)], 3)
    assert isinstance(decision, LookAgain)
    assert (decision.reason, decision.seconds < 0.5) == ("PrimaryStops", True)


def test_a_primary_that_only_we_cannot_reach_stays() -> None:
    decision = decide(0, [unreachable(0, LONG_SILENT), linked(1, 9), linked(2, 2)], 3)
    message = "cache-valkey-0 does not answer the reconciler, but cache-valkey-2 still hears it"
    assert decision == LookAgain(STILL_HEARD_SECONDS, "UnreachableByUs", message)


def test_a_primary_that_refuses_our_login_stays() -> None:
    decision = decide(0, [silent(0, "refused", 0.0), replica(1), replica(2)], 3)
    assert isinstance(decision, KeepPrimary)
    assert decision.reason == "CredentialRefused"


def test_a_link_to_an_instance_promoted_already_is_no_sign_of_the_old_primary() -> None:
    half_way = primary(1, lineage="b", former_lineage="a")
    decision = decide(0, [gone(0), half_way, linked(2, 0, lineage="b", former_lineage="a")], 3)
    assert promoted(decision)[0] == 1


def test_a_primary_that_may_be_alive_gets_the_time_that_its_fence_takes_to_close() -> None:
    decision = decide(0, [unreachable(0, 3.0), linked(1, 3), replica(2)], 3)
    assert isinstance(decision, LookAgain)
    assert decision.seconds == pytest.approx(FENCE_SECONDS - 3.0 - URGENT_TIMEOUT_SECONDS)
    assert decision.reason == "PrimarySilent"


def test_an_observation_before_the_fence_has_closed_is_repeated() -> None:
    decision = decide(0, [unreachable(0, FENCE_SECONDS - 0.1), linked(1, 3), replica(2)], 3)
    assert isinstance(decision, LookAgain)
    assert decision.seconds == STOPPING_SECONDS


@pytest.mark.parametrize("lost", [unreachable(0, LONG_SILENT), down(0, LONG_SILENT)])
@pytest.mark.parametrize("hidden", [unreachable(2, LONG_SILENT), down(2, LONG_SILENT)])
@pytest.mark.parametrize("candidate", [linked(1, 34), replica(1, down_for=34)])
def test_no_replica_takes_over_while_the_primary_may_go_on_with_one_that_we_do_not_see(
    lost: Instance, hidden: Instance, candidate: Instance
) -> None:
    decision = decide(0, [lost, candidate, hidden], 3)
    assert isinstance(decision, FailoverBlocked)
    assert decision.reason == "PrimaryMayServe"


def test_a_pod_that_was_deleted_by_force_proves_nothing_while_a_link_has_only_fallen_silent() -> None:
    decision = decide(0, [gone(0, LONG_SILENT), linked(1, 30), unreachable(2, LONG_SILENT)], 3)
    assert isinstance(decision, FailoverBlocked)
    assert decision.reason == "PrimaryMayServe"


def test_the_failover_does_not_wait_for_a_third_instance_if_the_candidate_saw_the_primary_die() -> None:
    decision = decide(0, [gone(0), replica(1), unreachable(2)], 3)
    assert promoted(decision)[0] == 1


@pytest.mark.parametrize("third", [restarted(2), gone(2, 60.0)])
@pytest.mark.parametrize("candidate", [linked(1, 60), replica(1, down_for=0)])
def test_a_candidate_that_did_not_see_the_primary_die_may_have_been_cut_off_alone(
    candidate: Instance, third: Instance
) -> None:
    decision = decide(0, [gone(0, 60.0), candidate, third], 3)
    assert isinstance(decision, FailoverBlocked)
    assert decision.reason in {"CandidateBehind", "PrimaryMayServe"}


def test_a_candidate_that_was_without_the_primary_long_before_is_stale() -> None:
    behind = replica(1, down_for=25)
    assert isinstance(decide(0, [gone(0, 5.0), behind, restarted(2)], 3), LookAgain), (
        "the primary may come back in a moment"
    )
    decision = decide(0, [gone(0, 21.0), replica(1, down_for=24), restarted(2)], 3)
    assert isinstance(decision, FailoverBlocked)
    assert decision.reason == "CandidateBehind"
    incident = Outage().incident("CandidateBehind")
    assert decision.message.endswith(
        ": the reconciler recommends cache-valkey-1, which probably lacks least; the storage then loses every write"
        " that it never received: those after offset 100 of a. To promote it, run"
        " `kubectl annotate -n team sessionstorage cache"
        f" toolhive.stacklok.dev/promote=cache-valkey-1@{incident} --overwrite`"
    )


def test_a_candidate_that_was_seen_without_the_primary_is_stale_whatever_it_says() -> None:
    behind = replace(replica(1, down_for=0), not_hearing_for=16.0)
    decision = decide(0, [gone(0, 1.0), behind, restarted(2, 0)], 3)
    assert isinstance(decision, LookAgain)
    assert decision.reason == "CandidateBehind"


def test_how_long_ago_the_primary_was_lost_does_not_matter_if_all_replicas_are_there() -> None:
    decision = decide(0, [gone(0, 1.0), replica(1, down_for=600), replica(2, down_for=600, offset=101)], 3)
    assert promoted(decision)[0] == 2


def test_a_primary_that_comes_back_with_its_data_is_preferred_to_a_stale_candidate() -> None:
    decision = decide(0, [restarted(0), replica(1, down_for=600), restarted(2)], 3)
    assert promoted(decision) == (0, "PrimaryReturned")
    assert isinstance(decision, NewPrimary)
    assert decision.message == "cache-valkey-0 came back with its data, some of which cache-valkey-1 may lack"


def test_the_failover_waits_for_a_loading_primary_unless_a_replica_has_as_much_data() -> None:
    decision = decide(0, [primary(is_loading=True, keys=0), restarted(1), restarted(2)], 3)
    assert isinstance(decision, KeepPrimary)
    assert decision.reason == "LoadingData"


def test_an_empty_instance_is_never_preferred_to_one_with_data() -> None:
    decision = decide(0, [gone(0), replica(1, offset=200, keys=0), replica(2)], 3)
    assert promoted(decision)[0] == 2


def test_an_instance_that_loads_is_no_candidate() -> None:
    decision = decide(0, [gone(0), replica(1, is_loading=True, offset=200), replica(2)], 3)
    assert promoted(decision)[0] == 2


def test_of_two_histories_the_one_that_continues_the_other_is_newer() -> None:
    newer = replica(1, lineage="b", former_lineage="a", offset=50)
    decision = decide(0, [gone(0), newer, replica(2, offset=100)], 3)
    assert promoted(decision)[0] == 1


def test_between_unrelated_histories_a_person_chooses() -> None:
    decision = decide(0, [gone(0), replica(1), replica(2, lineage="b", down_for=3)], 3)
    assert isinstance(decision, FailoverBlocked)
    assert decision.reason == "HistoriesDiffer"
    incident = Outage().incident("HistoriesDiffer")
    assert decision.message.endswith(
        "(cache-valkey-0 is gone; cache-valkey-1 has 9 keys, offset 100 of a; cache-valkey-2 has 9 keys, offset 100 of"
        " b): the reconciler recommends cache-valkey-1, which has most data of those that answer; the storage then"
        " loses every write that it never received: those after offset 100 of a. To promote it, run"
        " `kubectl annotate -n team sessionstorage cache"
        f" toolhive.stacklok.dev/promote=cache-valkey-1@{incident} --overwrite`"
    )


def test_a_primary_of_the_past_that_restarted_has_nothing_new() -> None:
    decision = decide(0, [gone(0), primary(1, lineage="own", offset=900), replica(2)], 3)
    assert promoted(decision)[0] == 2


def test_at_the_first_start_the_recorded_primary_begins_once_all_instances_answer_and_are_empty() -> None:
    empty = [restarted(index, keys=0) for index in range(3)]
    decision = decide(0, empty, 3)
    assert promoted(decision) == (0, "FirstStart")
    waiting = decide(0, [*empty[:2], gone(2)], 3)
    assert waiting == LookAgain(
        1.0, "InstancesMissing", "no instance that answers is known to have the newest data; waiting for cache-valkey-2"
    )
    assert isinstance(decide(0, empty[:2], 3), FailoverBlocked), "an instance that nobody knows of may have data"


@pytest.mark.parametrize("others", [[restarted(1, 0), restarted(2, 0)], [restarted(1), restarted(2)]])
def test_a_recorded_primary_that_came_back_with_its_data_goes_on(others: list[Instance]) -> None:
    decision = decide(0, [restarted(0), *others], 3)
    assert promoted(decision) == (0, "PrimaryReturned")


@pytest.mark.parametrize("holder", [restarted(2), replica(2, down_for=600)])
def test_the_only_instance_with_data_takes_over_once_all_others_answer(holder: Instance) -> None:
    decision = decide(0, [restarted(0, 0), restarted(1, 0), holder], 3)
    assert promoted(decision)[0] == 2


def test_between_two_replicas_with_data_of_unknown_age_and_an_empty_primary_a_person_chooses() -> None:
    decision = decide(0, [restarted(0, 0), restarted(1), restarted(2)], 3)
    assert isinstance(decision, FailoverBlocked)
    assert decision.reason == "DataUnclear"


def busy(index: int, busy_for: float = ENDLESS_SECONDS, *, is_endless: bool = True) -> Instance:
    """Build an instance that a script keeps from answering anything else."""
    return replace(silent(index, "busy", 0.0), busy_for=busy_for, has_endless_script=is_endless)


@pytest.mark.parametrize("script", [busy(0, 60.0, is_endless=False), busy(0, ENDLESS_SECONDS - 0.1)])
@pytest.mark.parametrize("others", [[linked(1, 4), linked(2, 4)], []])
def test_a_primary_with_a_script_that_can_end_keeps_its_place(script: Instance, others: list[Instance]) -> None:
    decision = decide(0, [script, *others], 3 if others else 1)
    assert isinstance(decision, LookAgain)
    assert decision.reason == "ScriptRuns"


def test_a_replica_takes_over_from_a_primary_whose_script_cannot_be_ended_if_all_replicas_can_be_compared() -> None:
    decision = decide(0, [busy(0), linked(1, 7), linked(2, 7, offset=101)], 3)
    assert promoted(decision) == (2, "ScriptRuns")


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([linked(1, 7), unreachable(2)], id="the primary may go on with the other one, unseen"),
        pytest.param([linked(1, 7), gone(2)], id="the other one may have had more"),
        pytest.param([restarted(1), restarted(2)], id="nothing tells what they have"),
        pytest.param([], id="there is no other"),
    ],
)
def test_a_primary_with_an_endless_script_keeps_its_place_where_a_write_could_be_lost(others: list[Instance]) -> None:
    decision = decide(0, [busy(0, 600.0), *others], 3 if others else 1)
    assert isinstance(decision, KeepPrimary)
    assert decision.reason == "ScriptRuns"


@pytest.mark.parametrize("lost", [gone(0), down(0), unreachable(0, LONG_SILENT)])
def test_a_storage_of_one_instance_waits_for_it(lost: Instance) -> None:
    decision = decide(0, [lost], 1)
    assert isinstance(decision, KeepPrimary)
    assert decision.reason == "OnlyInstance"


def test_a_storage_of_one_instance_has_no_other_to_promote() -> None:
    decision = decide(0, [restarted(0, 0)], 1)
    assert promoted(decision)[0] == 0


def test_a_primary_without_a_fence_is_replaced_only_if_a_replica_saw_it_die() -> None:
    assert isinstance(decide(0, [gone(0), replica(1)], 1), NewPrimary)
    for lost in (unreachable(0, LONG_SILENT), down(0, LONG_SILENT)):
        decision = decide(0, [lost, linked(1, 30)], 1)
        assert isinstance(decision, FailoverBlocked)
        assert decision.reason == "PrimaryMayServe"


@pytest.mark.parametrize(
    ("others", "expected", "replicas"),
    [
        pytest.param([], 1, 0, id="a storage of one instance"),
        pytest.param([replica(1)], 1, 0, id="a storage of one instance that is about to move"),
        pytest.param([linked(1, 0), linked(2, 0)], 3, 1, id="all well"),
        pytest.param([gone(1), unreachable(2)], 3, 1, id="one of whom nothing is known"),
        pytest.param([gone(1), down(2)], 3, 1, id="one that refuses connections"),
        pytest.param([gone(1), gone(2)], 3, 0, id="nobody left"),
    ],
)
def test_the_fence_is_lifted_only_if_no_other_instance_can_run(
    others: list[Instance], expected: int, replicas: int
) -> None:
    assert group(0, [primary(), *others], expected).fence == replicas


@pytest.mark.parametrize(
    ("others", "seconds"),
    [
        ([replica(1), unreachable(2)], 30.0),
        ([linked(1, 4), linked(2, 0)], 1.0),
        ([linked(1, 0, lineage="b"), primary(2, lineage="b")], 30.0),
    ],
)
def test_a_primary_that_a_replica_hears_has_given_a_sign_of_life(others: list[Instance], seconds: float) -> None:
    assert primary_silent_for(unreachable(0, 30.0), others) == seconds


def pod(phase: str, **state: Object) -> Object:
    return {"status": {"phase": phase, "containerStatuses": [{"state": state}] if state else []}}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (None, True),
        (pod("Pending"), True),
        (pod("Failed"), True),
        (pod("Succeeded", terminated={}), True),
        (pod("Running", running={}), False),
        (pod("Running", terminated={}), True),
        (pod("Running", waiting={"reason": "CrashLoopBackOff"}), True),
        (pod("Running"), False),
        (pod("Unknown"), False),
        ({"metadata": {}}, False),
    ],
)
def test_an_instance_is_gone_only_if_the_api_says_so(seen: Object | None, *, expected: bool) -> None:
    assert pod_status.is_gone(seen) is expected
