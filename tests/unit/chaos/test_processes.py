"""Which of a container's processes is its server."""

from __future__ import annotations

from tests.chaos import processes
from tests.chaos.processes import container_id, main

SHELL = "Name:\tsh\nNSpid:\t4710\t811\t1\n"
SERVER = "Name:\tvalkey-server\nNSpid:\t4711\t812\t7\n"
PYTHON = "Name:\tpython\nNSpid:\t4712\t813\t1\n"
PROBE = "Name:\tvalkey-cli\nNSpid:\t4800\t830\t17\n"


def test_a_valkey_pod_is_there_for_its_server_whatever_runs_beside_it() -> None:
    assert main({4710: SHELL, 4800: PROBE, 4711: SERVER}) == 4711


def test_another_one_is_there_for_what_it_was_started_with() -> None:
    assert main({4800: PROBE, 4712: PYTHON}) == 4712


def test_a_container_may_have_ended() -> None:
    assert main({}) is None
    assert main({4800: "", 4801: PROBE}) is None


def test_a_pod_s_container_is_the_one_that_runs() -> None:
    running = {"containerID": "containerd://0123abcd", "state": {"running": {}}}
    ended = {"containerID": "containerd://4567ef", "state": {"terminated": {}}}
    assert container_id({"status": {"containerStatuses": [running]}}) == "0123abcd"
    assert container_id({"status": {"containerStatuses": [ended]}}) == ""
    assert container_id({"status": {}}) == ""


def test_a_process_that_does_not_run_is_known_to_have_ended() -> None:
    assert processes.is_running(1)
    assert not processes.is_running(2**22 + 1)  # PID_MAX_LIMIT: no process can have it
