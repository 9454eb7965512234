"""What runs on a node, containerd, kubelet and kube-proxy, and how each is configured. Pure but for `install`.

Paths are as the node's own processes see them. A configuration file is named after its content, so that a
changed one changes the command line, by which `node.ensure_service` recognises a service to restart.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from deploy.local.errors import PrerequisiteMissing
from deploy.local.node import INSIDE, PROGRAMS
from deploy.local.profile import ORDINARY, House, Profile
from deploy.local.topology import DNS_ADDRESS, HOST_ADDRESS, POD_NETWORK, POD_NETWORK_6, Node

ETC = INSIDE / "etc"
PKI = INSIDE / "pki"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
KUBERNETES = str(PROGRAMS / "kubernetes")
# Where Debian and Ubuntu put the plugins of containernetworking-plugins.
CNI_PLUGINS = "/usr/lib/cni"
REGISTRIES = "registries"
PROXY_MODE_VARIABLE = "SESSION_STORAGE_PROXY_MODE"


class ProxyMode(StrEnum):
    """By what kube-proxy directs connections to Services; Kubernetes' default on Linux comes first."""

    IPTABLES = "iptables"
    NFTABLES = "nftables"


def proxy_mode(environ: Mapping[str, str]) -> ProxyMode:
    """Return the mode of kube-proxy that the environment asks for, or else Kubernetes' default.

    Raises:
        PrerequisiteMissing: There is no such mode.
    """
    asked = environ.get(PROXY_MODE_VARIABLE) or ProxyMode.IPTABLES
    if asked not in set(ProxyMode):
        raise PrerequisiteMissing(f"{PROXY_MODE_VARIABLE} must be {' or '.join(ProxyMode)}, and is {asked!r}")
    return ProxyMode(asked)


def install(
    directory: Path, node: Node, pause_image: str, mode: ProxyMode, profile: Profile = ORDINARY
) -> dict[str, tuple[str, ...]]:
    """Write a node's configuration and say how its services are started.

    Args:
        directory: The node's disk.
        node: The node.
        pause_image: Image of the container that holds a pod's namespaces.
        mode: How kube-proxy works.
        profile: What kind of cluster the node belongs to.

    Returns:
        The command of each service, to be started in this order.
    """
    if profile.house is not None:
        _write_registries(directory / "etc" / REGISTRIES, profile.house)
    network = directory / "etc" / "cni" / "10-pods.conflist"
    network.parent.mkdir(exist_ok=True)
    network.write_text(json.dumps(cni_config(node, profile), indent=2))
    return {
        "containerd": containerd_command(directory, pause_image),
        "kubelet": (
            KUBERNETES,
            "kubelet",
            f"--config={_write(directory, 'kubelet.json', _text(kubelet_config(node, profile)))}",
            f"--kubeconfig={PKI}/kubelet.kubeconfig",
            f"--hostname-override={node.name}",
            f"--node-ip={','.join(addresses(node, profile))}",
            f"--node-labels=topology.kubernetes.io/zone={node.zone}",
        ),
        "kube-proxy": (
            KUBERNETES,
            "kube-proxy",
            f"--config={_write(directory, 'kube-proxy.json', _text(kube_proxy_config(node, mode, profile)))}",
        ),
    }


def addresses(node: Node, profile: Profile) -> list[str]:
    """List a node's addresses, that of the family that comes first in the cluster before the other."""
    return [node.address_6, node.address] if profile.is_ipv6_first else [node.address]


def containerd_command(directory: Path, pause_image: str) -> tuple[str, ...]:
    """Write containerd's configuration to a node's disk and say how it is started."""
    return ("containerd", f"--config={_write(directory, 'containerd.toml', containerd_config(pause_image))}")


def containerd_config(pause_image: str) -> str:
    """Configure containerd (version 2 of the format, which 1.6 and later read).

    - Without CAP_SYS_RESOURCE nobody may lower an `oom_score_adj`, and runc would die trying.
    - AppArmor profiles would be loaded into the kernel of the host.
    - The `opt` plugin makes directories in /opt.
    - Nodes without a registry have no such directory, and pull no image.
    """
    return f"""version = 2
disabled_plugins = ["io.containerd.internal.v1.opt"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{ETC}/{REGISTRIES}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{ETC}/cni"
"""


def cni_config(node: Node, profile: Profile = ORDINARY) -> dict[str, Any]:
    """Configure the pod network: a cable from each pod to its node, and routes from there.

    Leases lie in /run: they must not survive the namespaces that they were given to.
    """
    networks = {node.pods_6: "::/0", node.pods: "0.0.0.0/0"} if profile.is_ipv6_first else {node.pods: "0.0.0.0/0"}
    leases = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": str(network)}] for network in networks],
        "routes": [{"dst": everywhere} for everywhere in networks.values()],
    }
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": leases},
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }


def hosts_config(house: House) -> str:
    """Tell containerd that a host in the names of images is the registry beside the cluster.

    The registry serves plain HTTP, because only the cluster reaches the bridge. Source: containerd's docs/hosts.md.
    """
    server = f"http://{HOST_ADDRESS}:{house.port}"
    return f"""server = "{server}"

[host."{server}"]
  capabilities = ["pull", "resolve"]
"""


def kubelet_config(node: Node, profile: Profile = ORDINARY) -> dict[str, Any]:
    """Configure the kubelet for one of several nodes on a machine that does other things too.

    The kubelet reserves and enforces nothing for the node. Nor does it evict pods or images, which no node could pull
    again, when other things fill the disk. `deviations` says what of this users see.
    """
    taints = profile.taints_of(node)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{PKI}/kubelet-server.key",
        "clusterDNS": addresses(node, profile)[:1] if profile.is_dns_on_nodes else [DNS_ADDRESS],
        "clusterDomain": profile.domain,
        "resolvConf": f"{ETC}/resolv.conf",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "containerLogMaxSize": "5Mi",
        "containerLogMaxFiles": 2,
        # Files of mounted Secrets follow a change after this time and half as much again; the default is a minute.
        "syncFrequency": "15s",
        **({"registerWithTaints": [taint.manifest() for taint in taints]} if taints else {}),
    }


def kube_proxy_config(node: Node, mode: ProxyMode, profile: Profile = ORDINARY) -> dict[str, Any]:
    """Configure kube-proxy; the connection tracker's limits belong to the host and stay as they are (all 0)."""
    networks = (POD_NETWORK_6, POD_NETWORK) if profile.is_ipv6_first else (POD_NETWORK,)
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode.value,
        "hostnameOverride": node.name,
        "clientConnection": {"kubeconfig": f"{PKI}/kube-proxy.kubeconfig"},
        "clusterCIDR": ",".join(map(str, networks)),
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
        "oomScoreAdj": 0,
    }


def _write_registries(directory: Path, house: House) -> None:
    for host in house.hosts:
        (directory / host).mkdir(parents=True, exist_ok=True)
        (directory / host / "hosts.toml").write_text(hosts_config(house))


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2)


def _write(directory: Path, name: str, content: str) -> Path:
    stem, _, suffix = name.partition(".")
    name = f"{stem}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.{suffix}"
    file = directory / "etc" / name
    # Only once: kube-proxy watches its configuration, and ends when that is written, even if nothing changes.
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.write_text(content)
        partial.replace(file)
    return ETC / name
