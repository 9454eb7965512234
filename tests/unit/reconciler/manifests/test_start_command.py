"""The start command of an instance, run by a shell: when it starts as primary, and when it must not."""

from __future__ import annotations

import functools
import io
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.manifests import start_command as start_command_module
from reconciler.manifests import valkey_config
from reconciler.manifests.pod_template import GRACE_SECONDS
from reconciler.manifests.start_command import start_command
from shared.session_storage.sizes import PRESETS, Size

PROGRAMS = ("sh", "cat", "cp", "mv", "rm", "wc", "date", "sleep", "flock")
HOST, ADDRESS = "mine-valkey.team.svc", "10.0.0.9"
EMPTY_BASE, SYNCED_BASE = b"x" * 89, b"x" * 172
"""Sizes of files as Valkey 9.1 writes them."""


class Pod:
    """The files of a pod, and the result of its start command."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lacks: set[str] = set()
        for name in ("config", "acl", "live", "data", "bin"):
            (directory / name).mkdir()
        (directory / "acl" / "users.acl").write_text("mounted")
        (directory / "acl" / "replication-password").write_text("secret")
        server = directory / "bin" / "valkey-server"
        server.write_text("#!/bin/sh\necho started with $@\nexit ${SERVER_STATUS:-0}\n")
        server.chmod(0o755)

    def is_told(self, primary: int, *instances: int) -> None:
        for name, text in valkey_config.topology(primary, instances, ADDRESS).items():
            (self.directory / "config" / name).write_text(text)

    def is_told_nothing_of_the_service(self) -> None:
        (self.directory / "config" / valkey_config.UPSTREAM_FILE).unlink()

    def is_told_of_no_host(self) -> None:
        (self.directory / "config" / valkey_config.UPSTREAM_FILE).write_text("")

    def was(self, role: str) -> None:
        """Say which role the server had when it was last ready."""
        (self.directory / "live" / "role").write_text(f"{role}\n")

    def has_data(self, base: bytes, increment: bytes) -> None:
        (self.directory / "data" / "appendonlydir").mkdir(exist_ok=True)
        for name, content in (("appendonly.aof.1.base.rdb", base), ("appendonly.aof.1.incr.aof", increment)):
            (self.directory / "data" / "appendonlydir" / name).write_bytes(content)

    def start(self, instance: int = 0, size: Size = Size.LARGE) -> str:
        done = subprocess.run(
            ["sh", "-c", self.command(instance, size)], capture_output=True, text=True, check=True, env=self.environment
        )
        assert "secret" not in done.stdout
        return (self.directory / "live" / valkey_config.START_FILE).read_text()

    @functools.cached_property
    def environment(self) -> dict[str, str]:
        """Give the command no program but those that the image of Valkey has."""
        for program in PROGRAMS:
            link, found = self.directory / "bin" / program, shutil.which(program)
            if not link.exists() and program not in self.lacks:
                link.symlink_to(found or "")
        return {"PATH": str(self.directory / "bin")}

    def command(self, instance: int = 0, size: Size = Size.LARGE) -> str:
        command = start_command(instance, HOST, PRESETS[size])
        for ours, theirs in (
            (valkey_config.CONFIG_DIRECTORY, "config"),
            (valkey_config.LIVE_DIRECTORY, "live"),
            (valkey_config.ACL_DIRECTORY, "acl"),
            (f"{valkey_config.DATA_DIRECTORY}/", "data/"),
        ):
            command = command.replace(ours, f"{self.directory}/{theirs}")
        return command


@pytest.fixture(name="pod")
def pod_fixture(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def follows(start: str) -> bool:
    return f"replicaof {ADDRESS} 6379" in start.splitlines()


def test_the_only_instance_starts_as_primary_even_without_data(pod: Pod) -> None:
    pod.is_told(0, 0)
    assert not follows(pod.start())


@pytest.mark.parametrize(("base", "increment"), [(EMPTY_BASE, b"x"), (SYNCED_BASE, b""), (SYNCED_BASE, b"x")])
def test_the_primary_of_several_starts_as_primary_with_its_data(pod: Pod, base: bytes, increment: bytes) -> None:
    pod.is_told(0, 0, 1, 2)
    pod.has_data(base, increment)
    assert not follows(pod.start())


def test_a_primary_without_its_data_starts_as_replica_even_when_it_starts_again(pod: Pod) -> None:
    pod.is_told(0, 0, 1, 2)
    assert follows(pod.start())
    pod.has_data(EMPTY_BASE, b"")  # the server that has just started wrote this file
    assert follows(pod.start())


@pytest.mark.parametrize("instances", [(0, 1), (0, 1, 2)])
def test_a_replica_with_data_follows(pod: Pod, instances: tuple[int, ...]) -> None:
    pod.is_told(0, *instances)
    pod.has_data(SYNCED_BASE, b"x")
    assert follows(pod.start(instance=1))


@pytest.mark.parametrize("told", [Pod.is_told_nothing_of_the_service, Pod.is_told_of_no_host])
def test_a_replica_follows_by_name_if_an_older_configmap_names_no_host(pod: Pod, told: Callable[[Pod], None]) -> None:
    pod.is_told(0, 0, 1)
    told(pod)
    assert f"replicaof {HOST} 6379" in pod.start(instance=1).splitlines()


def test_an_instance_that_the_topology_no_longer_lists_follows(pod: Pod) -> None:
    pod.is_told(1, 1)
    assert follows(pod.start(instance=0))


def test_a_new_pod_takes_the_acl_file_and_one_that_starts_again_keeps_it(pod: Pod) -> None:
    pod.is_told(0, 0)
    pod.start()
    live = pod.directory / "live" / "users.acl"
    assert live.read_text() == "mounted"
    live.write_text("saved since")
    pod.start()
    assert live.read_text() == "saved since"


@pytest.mark.parametrize("size", Size)
def test_directives_of_the_size_are_in_the_instances_own_file(pod: Pod, size: Size) -> None:
    pod.is_told(0, 0)
    found = dict(line.split(" ", 1) for line in pod.start(size=size).splitlines())
    assert int(found["maxmemory"]) == PRESETS[size].maxmemory_bytes
    assert found["min-replicas-to-write"] == ("1" if size is Size.LARGE else "0")
    assert (found["primaryuser"], found["primaryauth"]) == ("replication", "secret")


def test_only_the_servers_user_can_read_the_file_with_the_password(pod: Pod) -> None:
    pod.is_told(0, 0)
    pod.start()
    assert (pod.directory / "live" / valkey_config.START_FILE).stat().st_mode & 0o077 == 0


# When a former server has not ended yet


def test_no_server_starts_on_a_disk_while_another_one_uses_it(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a forced deletion, the next pod starts while the former server still answers its clients."""
    with serving(pod, monkeypatch) as former:
        (server,) = starts(pod, 1)
        os.kill(former.pid, signal.SIGKILL)
        former.wait(10)
        with serving(pod, monkeypatch) as new:
            lock = (pod.directory / "data" / "lock").stat().st_ino
            await_waiting(new.pid, lock)
            assert starts(pod, 1) == [server]
            os.kill(server, signal.SIGKILL)
            starts(pod, 2)
            new.terminate()


def await_waiting(shell: int, inode: int) -> None:
    """Wait until a process that a shell started waits for the lock of a file."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
        if any(line[5] in children and line[6].endswith(f":{inode}") for line in waiting):
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits for the lock")


def test_an_instance_starts_from_an_image_that_cannot_lock(pod: Pod) -> None:
    pod.lacks.add("flock")
    pod.is_told(0, 0)
    assert not follows(pod.start())


# When the server dies


def serving(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, *, shortest_run: int = 0, instances: tuple[int, ...] = (0,)
) -> subprocess.Popen[str]:
    """Run a server that lives until it is killed; each start adds a line to the file `starts`, with its process ID."""
    monkeypatch.setattr(start_command_module, "SHORTEST_RUN_SECONDS", shortest_run)
    server = pod.directory / "bin" / "valkey-server"
    server.write_text(f"#!/bin/sh\necho $$ >> {pod.directory}/starts\nexec sleep 60\n")
    pod.is_told(0, *instances)
    return subprocess.Popen(
        ["sh", "-c", pod.command(size=Size.MEDIUM)], env=pod.environment, text=True, stdout=subprocess.PIPE
    )


def starts(pod: Pod, count: int) -> list[int]:
    """Wait for a number of starts, and list the process IDs."""
    file = pod.directory / "starts"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if file.exists() and len(found := file.read_text().split()) >= count:
            return [int(pid) for pid in found]
        time.sleep(0.01)
    raise AssertionError(f"not {count} starts")


def test_a_server_that_dies_starts_again_in_its_container(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubelet would need the API server for that."""
    with serving(pod, monkeypatch) as shell:
        (first,) = starts(pod, 1)
        os.kill(first, signal.SIGKILL)
        _, second = starts(pod, 2)
        shell.terminate()
        assert shell.wait(10) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(second, 0)
        assert "valkey-server ended with status 137, and starts again" in (shell.stdout or io.StringIO()).read()


@pytest.mark.parametrize(("role", "is_primary"), [("master", True), ("slave", False)])
def test_a_server_that_starts_again_goes_by_the_role_that_it_had(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, role: str, *, is_primary: bool
) -> None:
    """Kubelet may not have refreshed the ConfigMap since the primary last moved."""
    pod.has_data(SYNCED_BASE, b"x")
    with serving(pod, monkeypatch, instances=(0, 1, 2) if role == "slave" else (1, 2)) as shell:
        (first,) = starts(pod, 1)
        pod.is_told(0 if role == "slave" else 1, 0, 1, 2)
        pod.was(role)
        os.kill(first, signal.SIGKILL)
        starts(pod, 2)
        assert follows((pod.directory / "live" / valkey_config.START_FILE).read_text()) is not is_primary
        shell.terminate()


def test_the_role_of_a_former_container_counts_for_nothing(pod: Pod) -> None:
    pod.is_told(1, 0, 1, 2)
    pod.has_data(SYNCED_BASE, b"x")
    pod.was("master")
    assert follows(pod.start())


def test_a_server_that_dies_right_after_its_start_ends_its_container(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that kubelet's back-off applies, and the API says that it crashes."""
    with serving(pod, monkeypatch, shortest_run=60) as shell:
        os.kill(starts(pod, 1)[0], signal.SIGKILL)
        assert shell.wait(10) == 137
    assert len(starts(pod, 1)) == 1


# When kubelet ends the pod


def stopping(pod: Pod, monkeypatch: pytest.MonkeyPatch, role: str = "master") -> subprocess.Popen[str]:
    """Run a server that says which role it has, and tell it to stop; return once it has begun to."""
    (pod.directory / "acl" / "probe-password").write_text("secret")
    (pod.directory / "says").write_text(role)
    client = pod.directory / "bin" / "valkey-cli"
    client.write_text(f'#!/bin/sh\n[ "$*" = "--user probe role" ] && cat {pod.directory}/says\n')
    client.chmod(0o755)
    monkeypatch.setattr(start_command_module, "STOP_SECONDS", 0.3)
    shell = serving(pod, monkeypatch)
    starts(pod, 1)
    shell.terminate()
    eventually((pod.directory / "live" / "stopping").exists)
    return shell


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_asked_to_go_on(pod: Pod) -> None:
    """Write the ACL file anew, as `ACL SAVE` does, until the file system's clock has gone on."""
    live = pod.directory / "live"

    def is_newer() -> bool:
        (live / "saved").write_text("saved")
        (live / "saved").rename(live / "users.acl")
        return (live / "users.acl").stat().st_mtime_ns > (live / "stopping").stat().st_mtime_ns

    eventually(is_newer)


def test_a_primary_that_is_asked_to_go_on_stops_when_another_instance_has_taken_over(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopping(pod, monkeypatch) as shell:
        is_asked_to_go_on(pod)
        with pytest.raises(subprocess.TimeoutExpired):
            shell.wait(1)
        (pod.directory / "says").write_text("slave")
        assert shell.wait(10) == 0


@pytest.mark.parametrize(("is_asked", "role"), [(False, "master"), (True, "slave"), (True, "")])
def test_no_other_server_goes_on_for_longer_than_a_moment(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, *, is_asked: bool, role: str
) -> None:
    with stopping(pod, monkeypatch, role) as shell:
        if is_asked:
            is_asked_to_go_on(pod)
        assert shell.wait(1.5) == 0


def test_a_primary_that_nobody_takes_over_from_stops_within_its_grace_period(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start_command_module.HOLD_LOOKS * 0.25 + start_command_module.STOP_SECONDS < GRACE_SECONDS
    monkeypatch.setattr(start_command_module, "HOLD_LOOKS", 2)
    with stopping(pod, monkeypatch) as shell:
        is_asked_to_go_on(pod)
        assert shell.wait(5) == 0


def test_a_container_ends_with_the_status_of_a_server_that_died_before_the_shell_waited_for_it(pod: Pod) -> None:
    """A shell may take notice of the death while it runs another program, and has to remember the status."""
    pod.is_told(0, 0)
    (pod.directory / "bin" / "date").write_text(f"#!/bin/sh\nsleep 0.1\nexec {shutil.which('date')} $@\n")
    (pod.directory / "bin" / "date").chmod(0o755)
    done = subprocess.run(["sh", "-c", pod.command()], check=False, env=pod.environment | {"SERVER_STATUS": "7"})
    assert done.returncode == 7


def test_a_server_with_replicas_leaves_them_time_to_take_over() -> None:
    ends = [start_command(0, HOST, PRESETS[size]).rpartition("sleep ")[2][:1] for size in Size]
    assert ends == ["0", "0", "1"]
