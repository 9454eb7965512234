import dataclasses

import pytest

from deploy.local import cluster, network, profile
from deploy.local.errors import PrerequisiteMissing
from deploy.local.profile import AWKWARD, AWKWARD_IPV4, HOUSE, ORDINARY, PROFILES, Oddity
from deploy.local.topology import CONTROL_PLANE_NODE, NODES
from tests.e2e.awkward.oddities import SIGHTS


def test_every_node_of_the_awkward_cluster_keeps_off_pods_without_tolerations() -> None:
    assert all(taint.effect == "NoSchedule" for each in NODES for taint in AWKWARD.taints_of(each))
    assert all(AWKWARD.taints_of(each) for each in NODES)
    assert AWKWARD.taint_keys(CONTROL_PLANE_NODE) == ["node-role.kubernetes.io/control-plane"]
    assert {AWKWARD.taints[each.name] for each in NODES if each != CONTROL_PLANE_NODE} == {HOUSE.pool}


def test_an_ordinary_cluster_has_neither_taints_nor_a_house() -> None:
    assert not any(ORDINARY.taints_of(each) for each in NODES)
    assert ORDINARY.house is None
    assert ORDINARY.packages == {}


def test_each_oddity_is_one_plain_sentence() -> None:
    assert all(each.endswith(".") and "\n" not in each for each in AWKWARD.oddities)
    assert AWKWARD.domain in " ".join(AWKWARD.oddities)


def test_a_profile_is_known_by_its_name_and_no_other_is_accepted() -> None:
    assert [profile.named(name) for name in PROFILES] == [ORDINARY, AWKWARD, AWKWARD_IPV4]
    with pytest.raises(PrerequisiteMissing, match="no profile 'strange': the local cluster can be ordinary or awkward"):
        profile.named("strange")


def test_the_awkward_tests_look_at_each_oddity_before_they_say_that_it_is_covered() -> None:
    assert set(SIGHTS) == set(Oddity)
    assert {oddity for each in PROFILES.values() for oddity in each.oddities} == set(Oddity)


def test_on_a_kernel_without_ipv6_a_profile_of_another_name_differs_in_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(network, "has_ipv6", lambda: False)
    found = cluster.fitting(AWKWARD)
    assert "this kernel has no IPv6: the profile is awkward-ipv4 instead of awkward" in capsys.readouterr().out
    assert (found.name, found.families) == ("awkward-ipv4", ("IPv4",))
    assert set(AWKWARD.oddities) ^ set(found.oddities) == {Oddity.IPV6_FIRST, Oddity.IPV4_ALONE}
    assert dataclasses.replace(found, name=AWKWARD.name, oddities=AWKWARD.oddities, is_ipv6_first=True) == AWKWARD


@pytest.mark.parametrize("wanted", PROFILES.values(), ids=PROFILES)
def test_a_kernel_with_ipv6_runs_what_is_asked_for_and_every_kernel_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wanted: profile.Profile
) -> None:
    monkeypatch.setattr(network, "has_ipv6", lambda: wanted.is_ipv6_first)
    assert cluster.fitting(wanted) == wanted
    assert capsys.readouterr().out == ""
