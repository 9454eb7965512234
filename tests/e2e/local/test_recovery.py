"""When a process of the local cluster dies, `up` restarts it, and everything on the cluster stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo.kube import Kube
from deploy.local import nodeservices, paths, processes
from deploy.local.home import Cluster
from deploy.local.topology import NODES

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def kill(service: str) -> None:
    found = [process for process in processes.marked(paths.state()) if process.service == service]
    assert found
    for process in found:
        os.kill(process.pid, signal.SIGKILL)


def up() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local", "up"], cwd=paths.REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("service", ["node1/etcd", "node1/kube-apiserver", "node2/kubelet", "node3"])
def test_up_restarts_a_killed_process(service: str) -> None:
    kube = Kube.of(os.environ)
    kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default"}})
    kill(service)
    up()
    assert kube.get("configmap", "kept", "default")
    assert {process.service for process in processes.marked(paths.state())} > {service, *(node.name for node in NODES)}


def test_a_second_start_changes_no_process() -> None:
    def running() -> set[int]:
        found = processes.marked(paths.state())
        return {process.pid for process in found if process.command[:1] == (nodeservices.KUBERNETES,)}

    before = running()
    assert len(before) == 2 * len(NODES) + len(CONTROL_PLANE)
    up()
    assert before <= running()


def test_no_node_has_mounts_that_the_host_sees() -> None:
    state = str(Cluster.of_this_cache().state)
    assert state not in Path("/proc/self/mountinfo").read_text()
