import pytest

from deploy.local import profile
from deploy.local.errors import PrerequisiteMissing
from deploy.local.profile import AWKWARD, HOUSE, ORDINARY, PROFILES
from deploy.local.topology import CONTROL_PLANE_NODE, NODES


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
    assert [profile.named(name) for name in PROFILES] == [ORDINARY, AWKWARD]
    with pytest.raises(PrerequisiteMissing, match="no profile 'strange': the local cluster can be ordinary or awkward"):
        profile.named("strange")
