"""Which of a container's processes is the main one."""

from __future__ import annotations

from tests.chaos import processes
from tests.chaos.processes import container_id, main_process

SHELL = "Name:\tsh\nNSpid:\t4710\t811\t1\n"
SERVER = "Name:\tvalkey-server\nNSpid:\t4711\t812\t7\n"
PYTHON = "Name:\tpython\nNSpid:\t4712\t813\t1\n"
PROBE = "Name:\tvalkey-cli\nNSpid:\t4800\t830\t17\n"


def test_the_main_process_of_a_valkey_container_is_the_server_whatever_runs_beside_it() -> None:
    assert main_process({4710: SHELL, 4800: PROBE, 4711: SERVER}) == 4711


def test_the_main_process_of_another_container_is_its_first() -> None:
    assert main_process({4800: PROBE, 4712: PYTHON}) == 4712


def test_a_container_that_has_ended_has_no_main_process() -> None:
    assert main_process({}) is None
    assert main_process({4800: "", 4801: PROBE}) is None


def test_a_pod_s_container_is_the_one_that_runs() -> None:
    running = {"containerID": "containerd://0123abcd", "state": {"running": {}}}
    ended = {"containerID": "containerd://4567ef", "state": {"terminated": {}}}
    assert container_id({"status": {"containerStatuses": [running]}}) == "0123abcd"
    assert container_id({"status": {"containerStatuses": [ended]}}) == ""
    assert container_id({"status": {}}) == ""


def test_only_a_process_that_exists_is_running() -> None:
    assert processes.is_running(1)
    assert not processes.is_running(2**22 + 1)  # PID_MAX_LIMIT: no process can have it
