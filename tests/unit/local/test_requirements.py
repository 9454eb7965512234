import dataclasses
import struct
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from deploy.local import requirements
from deploy.local.requirements import Facts
from deploy.local.topology import BRIDGE

GOOD = Facts(
    system="Linux",
    architecture="x86_64",
    is_root=True,
    capabilities=2**41 - 1,
    has_cgroups=True,
    cache=Path("/root/.cache/toolhive-session-storage"),
    cache_file_system="ext2/ext3",
    routes=(IPv4Network("10.0.0.0/8"),),
    foreign_clusters=frozenset(),
)


def test_a_privileged_linux_machine_suffices() -> None:
    assert list(requirements.problems(GOOD)) == []


def test_a_machine_without_the_right_to_lower_oom_scores_suffices() -> None:
    without_sys_resource = GOOD.capabilities & ~(1 << 24)
    assert list(requirements.problems(dataclasses.replace(GOOD, capabilities=without_sys_resource))) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"system": "Darwin"}, "virtual machine", id="other system"),
        pytest.param({"architecture": "s390x"}, "aarch64", id="other architecture"),
        pytest.param({"is_root": False}, "sudo", id="not root"),
        pytest.param({"capabilities": 2**12 - 1}, "CAP_SYS_ADMIN", id="unprivileged container"),
        pytest.param({"has_cgroups": False}, "--privileged", id="no control groups"),
        pytest.param({"cache_file_system": "overlay"}, "SESSION_STORAGE_CACHE", id="cache in a container image"),
        pytest.param({"routes": (IPv4Network("198.18.0.0/15"),)}, "198.18.0.0/15", id="addresses taken"),
        pytest.param({"foreign_clusters": frozenset({"/else/state"})}, "CACHE=/else make", id="another cluster"),
    ],
)
def test_each_problem_has_a_message_that_says_what_to_do(change: dict[str, Any], words: str) -> None:
    problems = list(requirements.problems(dataclasses.replace(GOOD, **change)))
    assert len(problems) == 1
    assert words in problems[0]


def test_all_problems_are_reported_at_once() -> None:
    assert len(list(requirements.problems(dataclasses.replace(GOOD, is_root=False, cache_file_system="overlay")))) == 2


def test_routes_are_read_without_the_default_and_those_through_our_bridge() -> None:
    def row(interface: str, network: IPv4Network) -> str:
        number, mask = (f"{struct.unpack('=I', address.packed)[0]:08X}" for address in (network[0], network.netmask))
        return f"{interface}\t{number}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0\n"

    table = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        + row("eth0", IPv4Network("0.0.0.0/0"))
        + row("eth0", IPv4Network("192.0.2.0/24"))
        + row(BRIDGE, IPv4Network("198.18.0.0/24"))
    )
    assert list(requirements.parse_routes(table)) == [IPv4Network("192.0.2.0/24")]
