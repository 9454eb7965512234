"""Which passwords the prober tries, and what it counts."""

from __future__ import annotations

from tests.chaos.rotating.prober import ACCEPTED, PROMISE_SECONDS, SERVICE, Sight, Tally

INSTANCES = {"large-valkey-0-0": "198.18.16.7"}


def a_sight() -> Sight:
    sight = Sight("198.18.32.9")
    sight.take_in("old", INSTANCES, 10.0)
    sight.take_in("new", INSTANCES, 20.0)
    return sight


def test_the_secrets_present_password_and_the_mounted_one_must_work() -> None:
    assert a_sight().promised("old", 21.0) == {"new", "old"}
    assert a_sight().promised("new", 21.0) == {"new"}


def test_a_password_that_was_read_too_long_ago_need_not_work_any_more() -> None:
    assert a_sight().promised("mounted", 20.0 + PROMISE_SECONDS) == {"mounted"}


def test_instances_have_their_latest_addresses_and_the_service_keeps_its_own() -> None:
    sight = a_sight()
    assert sight.addresses == {SERVICE: "198.18.32.9", **INSTANCES}
    sight.take_in("new", {}, 30.0)
    assert sight.addresses == {SERVICE: "198.18.32.9"}
    assert sight.passwords == ["old", "new"]


def test_failed_connections_before_the_first_login_do_not_count() -> None:
    tally = Tally()
    tally.count("timeout", 1.0)
    tally.count(ACCEPTED, 2.0)
    tally.count("timeout", 3.0)
    tally.count("timeout", 4.0)
    assert tally.logins == 1
    assert tally.as_json("here") == [{"place": "here", "kind": "timeout", "times": [3.0, 4.0]}]


def test_refused_logins_count_from_the_start() -> None:
    tally = Tally()
    tally.count("WRONGPASS", 1.0)
    assert tally.as_json("here") == [{"place": "here", "kind": "WRONGPASS", "times": [1.0]}]
