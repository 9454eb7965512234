from pathlib import Path

import pytest

from deploy.local import audit, controlplane
from deploy.local.controlplane import Endpoints, Layout
from deploy.local.topology import SERVICE_NETWORK, SERVICE_NETWORK_6

LAYOUT = Layout(Path("/programs/kubernetes"), Path("/somewhere/control-plane"))
ON_LOOPBACK = Endpoints("127.0.0.1", 1001, 1002, 1003)
ON_A_NODE = Endpoints("198.18.0.11", 6443)


@pytest.mark.parametrize("endpoints", [ON_LOOPBACK, ON_A_NODE])
def test_runs_the_four_processes_of_a_control_plane(endpoints: Endpoints) -> None:
    assert list(controlplane.commands(LAYOUT, endpoints)) == [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ]


def test_commands_name_only_files_that_preparing_makes(tmp_path: Path) -> None:
    layout = Layout(Path("/programs/kubernetes"), tmp_path / "control-plane")
    controlplane.prepare(layout.directory, ON_LOOPBACK)
    for command in controlplane.commands(layout, ON_LOOPBACK).values():
        for file in (argument.partition("=")[2] for argument in command if "/pki/" in argument):
            assert Path(file).is_file(), file


def test_keeps_out_of_the_hosts_directories() -> None:
    for command in controlplane.commands(LAYOUT, ON_A_NODE).values():
        files = [argument.partition("=")[2] for argument in command if argument.partition("=")[2].startswith("/")]
        assert all(Path(file).is_relative_to(LAYOUT.directory) for file in files)


def test_no_process_is_given_a_password_or_key_on_its_command_line() -> None:
    for command in controlplane.commands(LAYOUT, ON_A_NODE).values():
        assert not any("BEGIN" in argument for argument in command)


def test_the_domain_of_the_cluster_is_in_the_certificate_and_in_tokens() -> None:
    endpoints = Endpoints("198.18.0.11", 6443, domain="corp.example")
    assert "kubernetes.default.svc.corp.example" in endpoints.api_hosts
    issuer = "--service-account-issuer=https://kubernetes.default.svc.corp.example"
    assert issuer in controlplane.commands(LAYOUT, endpoints)["kube-apiserver"]


def test_an_api_server_with_an_ipv6_address_announces_that_and_serves_both_families() -> None:
    endpoints = Endpoints("198.18.0.11", 6443, address_6="2001:2::11")
    command = controlplane.commands(LAYOUT, endpoints)["kube-apiserver"]
    assert {"--bind-address=::", "--advertise-address=2001:2::11"} <= set(command)
    (networks,) = (flag.partition("=")[2] for flag in command if flag.startswith("--service-cluster-ip-range="))
    assert networks == f"{SERVICE_NETWORK_6},{SERVICE_NETWORK}"
    assert {"2001:2::11", "198.18.0.11", str(SERVICE_NETWORK_6[1])} <= set(endpoints.api_hosts)


def test_api_server_is_known_by_the_name_of_its_service() -> None:
    assert "kubernetes.default.svc" in ON_A_NODE.api_hosts
    assert "198.18.0.11" in ON_A_NODE.api_hosts


def test_the_api_server_notes_down_who_writes_what() -> None:
    command = controlplane.commands(LAYOUT, ON_A_NODE)["kube-apiserver"]
    assert set(audit.flags(LAYOUT.directory)) <= set(command)
