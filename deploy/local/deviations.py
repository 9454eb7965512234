"""Says in which settings the local cluster differs from Kubernetes' defaults, as far as users can notice. Pure.

Kubernetes' defaults are those of its components, and kubeadm's for what has none of its own. A test compares this list
with the configuration, so that each further setting must be listed here or found to matter to nobody.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.local import nodeservices
from deploy.local.nodeservices import ProxyMode
from deploy.local.topology import CONTROL_PLANE_NODE, DNS_PORT


@dataclass(frozen=True)
class Deviation:
    """Settings that differ for one purpose.

    Attributes:
        sentence: What users notice, for a page that tells of measurements.
        settings: The settings, each as `<process>.<field or flag>`.
    """

    sentence: str
    settings: tuple[str, ...]


def deviations(mode: ProxyMode = ProxyMode.IPTABLES) -> tuple[str, ...]:
    """Say what differs, one sentence for each purpose.

    Args:
        mode: How kube-proxy works on the cluster (`nodeservices.proxy_mode`).
    """
    return tuple(each.sentence for each in found(mode))


def found(mode: ProxyMode = ProxyMode.IPTABLES) -> Iterator[Deviation]:
    """List what differs; each value in a sentence is read from the configuration."""
    if mode is not ProxyMode.IPTABLES:
        yield Deviation(f"kube-proxy works by {mode}; the default is {ProxyMode.IPTABLES}.", ("kube-proxy.mode",))
    yield Deviation(
        "kube-proxy leaves the limits and time-outs of the connection tracker as the machine has them.",
        ("kube-proxy.conntrack",),
    )
    refresh = nodeservices.kubelet_config(CONTROL_PLANE_NODE)["syncFrequency"].removesuffix("s")
    yield Deviation(
        f"A kubelet looks every {refresh} to {int(refresh) * 1.5:g} s whether a mounted Secret has changed; "
        "the default is every 60 to 90 s.",
        ("kubelet.syncFrequency",),
    )
    yield Deviation(
        "A kubelet evicts no pod and removes no image when memory or disk run short; it reserves nothing for its node.",
        (
            "kubelet.evictionHard",
            "kubelet.imageGCHighThresholdPercent",
            "kubelet.imageGCLowThresholdPercent",
            "kubelet.enforceNodeAllocatable",
        ),
    )
    yield Deviation(
        f"The pods of CoreDNS listen on port {DNS_PORT}, as OpenShift's do, not on 53 as kubeadm's do; a kubelet asks "
        "them every second whether they are ready, not every 10 s.",
        ("coredns.containerPort", "coredns.periodSeconds"),
    )
    yield Deviation(
        "The control plane is a single one, so its controller manager and scheduler elect no leader.",
        ("kube-controller-manager.leader-elect", "kube-scheduler.leader-elect"),
    )
    yield Deviation(
        "etcd confirms a write before the disk has it.",
        ("etcd.unsafe-no-fsync",),
    )
