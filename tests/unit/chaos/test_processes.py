"""Which of a container's processes is its server."""

from __future__ import annotations

from tests.chaos import processes
from tests.chaos.processes import container_id, first

SERVER = "Name:\tvalkey-server\nNSpid:\t4711\t812\t1\n"
PROBE = "Name:\tvalkey-cli\nNSpid:\t4800\t830\t17\n"


def test_the_server_is_the_first_in_its_own_namespace_whatever_probes_run_beside_it() -> None:
    assert first({4800: PROBE, 4711: SERVER}) == 4711


def test_a_container_may_have_ended() -> None:
    assert first({}) is None
    assert first({4800: "", 4801: PROBE}) is None


def test_a_pod_s_container_is_the_one_that_runs() -> None:
    running = {"containerID": "containerd://0123abcd", "state": {"running": {}}}
    ended = {"containerID": "containerd://4567ef", "state": {"terminated": {}}}
    assert container_id({"status": {"containerStatuses": [running]}}) == "0123abcd"
    assert container_id({"status": {"containerStatuses": [ended]}}) == ""
    assert container_id({"status": {}}) == ""


def test_a_process_that_does_not_run_is_known_to_have_ended() -> None:
    assert processes.is_running(1)
    assert not processes.is_running(2**22 + 1)  # PID_MAX_LIMIT: no process can have it
