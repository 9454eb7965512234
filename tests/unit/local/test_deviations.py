"""No setting of the local cluster differs from Kubernetes' defaults in silence."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.local import addons, controlplane, deviations, node, nodeservices
from deploy.local.controlplane import Endpoints, Layout
from deploy.local.nodeservices import ProxyMode
from deploy.local.topology import DNS_PORT, NODES

# What kubeadm sets too, and what says who and where the parts of the cluster are: files, addresses, certificates.
WIRING: Final = {
    "etcd": {
        *(
            "data-dir",
            "name",
            "initial-cluster",
            "initial-advertise-peer-urls",
            "listen-peer-urls",
            "listen-client-urls",
        ),
        *("advertise-client-urls", "cert-file", "key-file", "client-cert-auth", "trusted-ca-file"),
    },
    "kube-apiserver": {
        *(
            "bind-address",
            "advertise-address",
            "secure-port",
            "tls-cert-file",
            "tls-private-key-file",
            "client-ca-file",
        ),
        *("etcd-servers", "etcd-cafile", "etcd-certfile", "etcd-keyfile", "kubelet-certificate-authority"),
        *("kubelet-client-certificate", "kubelet-client-key", "kubelet-preferred-address-types"),
        *("service-cluster-ip-range", "service-account-issuer", "service-account-key-file"),
        *("service-account-signing-key-file", "requestheader-client-ca-file", "requestheader-allowed-names"),
        *("requestheader-username-headers", "requestheader-group-headers", "requestheader-extra-headers-prefix"),
        *("proxy-client-cert-file", "proxy-client-key-file", "authorization-mode", "enable-admission-plugins"),
        "allow-privileged",
    },
    "kube-controller-manager": {
        *("kubeconfig", "use-service-account-credentials", "service-account-private-key-file", "root-ca-file"),
        *("cluster-signing-cert-file", "cluster-signing-key-file", "flex-volume-plugin-dir", "secure-port"),
    },
    "kube-scheduler": {"kubeconfig", "secure-port"},
    "kubelet": {
        *(
            "config",
            "kubeconfig",
            "hostname-override",
            "node-ip",
            "node-labels",
            "apiVersion",
            "kind",
            "authentication",
        ),
        *("authorization", "tlsCertFile", "tlsPrivateKeyFile", "clusterDNS", "clusterDomain", "resolvConf"),
        *("containerRuntimeEndpoint", "volumePluginDir"),
    },
    "kube-proxy": {"config", "apiVersion", "kind", "mode", "hostnameOverride", "clientConnection", "clusterCIDR"},
}
# What differs and nobody notices: how long logs are, that writes are noted down, and what lets kubelets start on a
# machine with swap, with control groups of the former version, or without the right to lower scores.
UNNOTICED: Final = {
    "kube-apiserver": {"audit-policy-file", "audit-log-path"},
    "kubelet": {
        *("cgroupDriver", "failCgroupV1", "failSwapOn", "oomScoreAdj"),
        "containerLogMaxSize",
        "containerLogMaxFiles",
    },
    "kube-proxy": {"oomScoreAdj"},
}
DEFAULTS: Final = {
    "kube-proxy.mode": "iptables",
    "kube-proxy.conntrack": None,
    "kubelet.syncFrequency": "1m",
    "kubelet.evictionHard": {
        "memory.available": "100Mi",
        "nodefs.available": "10%",
        "nodefs.inodesFree": "5%",
        "imagefs.available": "15%",
        "imagefs.inodesFree": "5%",
    },
    "kubelet.imageGCHighThresholdPercent": 85,
    "kubelet.imageGCLowThresholdPercent": 80,
    "kubelet.enforceNodeAllocatable": ["pods"],
    "coredns.containerPort": 53,
    "coredns.periodSeconds": 10,
    "kube-controller-manager.leader-elect": "true",
    "kube-scheduler.leader-elect": "true",
    "etcd.unsafe-no-fsync": "false",
}
"""Source: `SetDefaults_…` of each component in Kubernetes 1.36, `etcd --help`, and kubeadm's manifests for CoreDNS."""


def flags(command: Iterable[str]) -> dict[str, str]:
    split = (argument.removeprefix("--").partition("=") for argument in command if argument.startswith("--"))
    return {name: value if is_set else "true" for name, is_set, value in split}


def settings(disk: Path, mode: ProxyMode) -> Iterator[tuple[str, Any]]:
    """Yield every setting of the processes that are Kubernetes' own, and of CoreDNS those with defaults."""
    node.make_disk(disk)
    commands = nodeservices.install(disk, NODES[0], "pause", mode)
    del commands["containerd"]
    commands |= controlplane.commands(Layout(Path("/programs"), Path("/there")), Endpoints("198.18.0.11", 6443))
    configured: dict[str, dict[str, Any]] = {process: dict(flags(command)) for process, command in commands.items()}
    configured["kubelet"] |= nodeservices.kubelet_config(NODES[0])
    configured["kube-proxy"] |= nodeservices.kube_proxy_config(NODES[0], mode)
    for document in yaml.safe_load_all(addons.render_manifests()):
        if (document["kind"], document["metadata"]["name"]) == ("Deployment", "coredns"):
            (container,) = document["spec"]["template"]["spec"]["containers"]
            (port,) = {port["containerPort"] for port in container["ports"]}
            period = container["readinessProbe"]["periodSeconds"]
            configured["coredns"] = {"containerPort": port, "periodSeconds": period}
    for process, values in configured.items():
        for name, value in values.items():
            yield f"{process}.{name}", value


def known(table: dict[str, set[str]]) -> set[str]:
    return {f"{process}.{name}" for process, names in table.items() for name in names}


@pytest.mark.parametrize("mode", ProxyMode)
def test_every_setting_that_differs_and_matters_is_listed_and_none_else(tmp_path: Path, mode: ProxyMode) -> None:
    configured = dict(settings(tmp_path, mode))
    differing = {name for name in configured if name in DEFAULTS and configured[name] != DEFAULTS[name]}
    unknown = configured.keys() - known(WIRING) - known(UNNOTICED) - differing
    assert unknown == set(), "is it wiring, is it unnoticed, or does it need a sentence in deploy/local/deviations.py?"
    listed = [name for each in deviations.found(mode) for name in each.settings]
    assert sorted(listed) == sorted(differing)


def test_no_setting_is_explained_that_does_not_exist(tmp_path: Path) -> None:
    assert known(WIRING) | known(UNNOTICED) <= dict(settings(tmp_path, ProxyMode.IPTABLES)).keys()


@pytest.mark.parametrize("mode", ProxyMode)
def test_each_deviation_is_one_plain_sentence(mode: ProxyMode) -> None:
    said = deviations.deviations(mode)
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in said)
    assert len(set(said)) == len(said)


def test_sentences_have_the_values_of_the_configuration(tmp_path: Path) -> None:
    said = " ".join(deviations.deviations())
    assert "every 15 to 22.5 s" in said
    assert f"port {DNS_PORT}" in said
    assert dict(settings(tmp_path, ProxyMode.IPTABLES))["coredns.periodSeconds"] == 1


def test_kube_proxy_waits_between_updates_as_long_as_kubernetes_ships_it() -> None:
    for mode in ProxyMode:
        assert not {"iptables", "nftables"} & nodeservices.kube_proxy_config(NODES[0], mode).keys()
