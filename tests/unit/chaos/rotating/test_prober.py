"""Which passwords the prober tries, and what it counts."""

from __future__ import annotations

from tests.chaos.rotating.prober import ACCEPTED, PROMISE_SECONDS, SERVICE, Sight, Tally

NODES = {"large-valkey-0-0": "198.18.16.7"}


def a_sight() -> Sight:
    sight = Sight("198.18.32.9")
    sight.take_in("old", NODES, 10.0)
    sight.take_in("new", NODES, 20.0)
    return sight


def test_what_the_secret_has_now_and_what_is_mounted_get_in_by_promise() -> None:
    assert a_sight().promised("old", 21.0) == {"new", "old"}
    assert a_sight().promised("new", 21.0) == {"new"}


def test_what_was_read_too_long_ago_is_no_promise_any_more() -> None:
    assert a_sight().promised("mounted", 20.0 + PROMISE_SECONDS) == {"mounted"}


def test_nodes_are_where_they_were_seen_last_and_the_service_where_it_always_is() -> None:
    sight = a_sight()
    assert sight.addresses == {SERVICE: "198.18.32.9", **NODES}
    sight.take_in("new", {}, 30.0)
    assert sight.addresses == {SERVICE: "198.18.32.9"}
    assert sight.passwords == ["old", "new"]


def test_nobody_is_to_blame_for_what_cannot_be_reached_before_the_first_login() -> None:
    tally = Tally()
    tally.count("timeout", 1.0)
    tally.count(ACCEPTED, 2.0)
    tally.count("timeout", 3.0)
    tally.count("timeout", 4.0)
    assert tally.logins == 1
    assert tally.told("here") == [{"place": "here", "kind": "timeout", "times": [3.0, 4.0]}]


def test_whoever_is_locked_out_counts_from_the_start() -> None:
    tally = Tally()
    tally.count("WRONGPASS", 1.0)
    assert tally.told("here") == [{"place": "here", "kind": "WRONGPASS", "times": [1.0]}]
