from pathlib import Path

from deploy.local import cgroups

V1 = """\
25 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 29 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:5 master:2 - cgroup cgroup rw,cpu
31 29 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 29 0:35 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = "35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_finds_every_hierarchy_of_v1_and_hybrid_machines() -> None:
    assert cgroups.hierarchies(V1) == tuple(Path("/sys/fs/cgroup", name) for name in ("cpu", "memory", "unified"))


def test_finds_the_one_hierarchy_of_v2() -> None:
    assert cgroups.hierarchies(V2) == (Path("/sys/fs/cgroup"),)


def test_finds_none_where_none_is_mounted() -> None:
    assert cgroups.hierarchies("25 1 254:0 / / rw - ext4 /dev/vda rw\n") == ()


def test_a_group_that_ended_meanwhile_has_no_processes(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("1\n22\n")
    assert cgroups._members(tmp_path) == {1, 22}
    assert cgroups._members(tmp_path / "gone") == set()


def test_groups_are_removed_leaves_first_and_missing_ones_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "tree" / "pod" / "container").mkdir(parents=True)
    assert cgroups._remove(tmp_path / "tree") is None
    assert cgroups._remove(tmp_path / "tree") is None
    assert not (tmp_path / "tree").exists()
