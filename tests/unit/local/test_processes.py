import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local import processes
from deploy.local.processes import Process, Service

KUBELET = Service("node1/kubelet", ("kubernetes", "kubelet", "--v=2"), Path("log"))


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_]+", fullmatch=True), st.text(st.characters(codec="ascii", exclude_characters="\0"))
    )
)
def test_environment_is_read_back_as_the_kernel_shows_it(variables: dict[str, str]) -> None:
    block = b"".join(f"{name}={value}\0".encode() for name, value in variables.items())
    assert processes.parse_environment(block) == variables


@pytest.mark.parametrize(
    ("process", "is_running"),
    [
        pytest.param(Process(1, "node1/kubelet", KUBELET.command), True, id="runs"),
        pytest.param(Process(1, "node1/kubelet", ("setsid", "--fork", *KUBELET.command)), True, id="is being started"),
        pytest.param(Process(1, "node2/kubelet", KUBELET.command), False, id="another node's"),
        pytest.param(Process(1, "node1/kubelet", ("kubernetes", "kubelet", "--v=3")), False, id="other flags"),
        pytest.param(Process(1, "node1/kubelet", ("iptables",)), False, id="its child"),
    ],
)
def test_service_runs_only_as_it_should(process: Process, *, is_running: bool) -> None:
    assert KUBELET.is_among([process]) == is_running


def test_started_service_is_found_by_its_mark_and_ended(tmp_path: Path) -> None:
    service = Service("sleeper", ("sleep", "1000"), tmp_path / "logs" / "sleeper.log")
    processes.start(service, tmp_path)
    found = processes.marked(tmp_path)
    assert service.is_among(found)
    processes.kill(process.pid for process in found)
    assert processes.marked(tmp_path) == []


def test_children_of_a_service_are_found_too(tmp_path: Path) -> None:
    script = ("sh", "-c", "sleep 1000 & wait")
    processes.start(Service("parent", script, tmp_path / "log"), tmp_path)
    found = processes.marked(tmp_path)
    while ("sleep", "1000") not in [process.command for process in found]:
        found = processes.marked(tmp_path)
        assert found
    processes.kill(process.pid for process in found)
    assert processes.marked(tmp_path) == []


def test_a_cluster_of_another_cache_is_foreign(tmp_path: Path) -> None:
    service = Service("sleeper", ("sleep", "1000"), tmp_path / "log")
    processes.start(service, tmp_path)
    assert str(tmp_path) in processes.foreign_clusters(tmp_path / "other", {"sleeper"})
    assert str(tmp_path) not in processes.foreign_clusters(tmp_path, {"sleeper"})
    assert str(tmp_path) not in processes.foreign_clusters(tmp_path / "other", {"node1"})
    processes.kill(process.pid for process in processes.marked(tmp_path))


def test_ending_a_process_that_is_gone_is_no_error() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    processes.kill([ended.pid])


def test_tells_when_a_process_was_started() -> None:
    before = datetime.now(UTC)
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        started = processes.started_at(sleeper.pid)
        sleeper.kill()
    # The kernel counts in hundredths of a second.
    assert abs(started - before) < timedelta(seconds=1)
