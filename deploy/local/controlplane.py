"""The control plane: command lines of etcd, API server, controller manager and scheduler. Pure but for `prepare`.

The cluster runs them in a node's namespaces; `loopback` runs them for tests.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import audit, pki
from deploy.local.profile import ORDINARY
from deploy.local.topology import API_SERVICE_ADDRESS, API_SERVICE_ADDRESS_6, SERVICE_NETWORK, SERVICE_NETWORK_6

# These start first, because the others are their clients. The controller manager gives up after 10 s if the API server
# does not let it ask for its health.
SERVERS = ("etcd", "kube-apiserver")
# The API server makes this binding once it serves; with it, everybody who is authenticated may ask for its health.
ADMISSION_TO_HEALTH = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:public-info-viewer"
# The controller manager makes this account; until then, the API server admits no pod to the namespace.
FIRST_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


@dataclass(frozen=True)
class Endpoints:
    """Where the processes listen.

    Attributes:
        address: Address of the API server by which the cluster's own processes know it.
        api_port: Its port.
        etcd_port: Port of etcd for its clients, on loopback.
        etcd_peer_port: Port of etcd for its peers, of which there are none, on loopback.
        domain: Domain of the cluster's DNS names.
        address_6: The API server's IPv6 address, which it announces to pods before the other one; empty without IPv6.
    """

    address: str
    api_port: int
    etcd_port: int = 2379
    etcd_peer_port: int = 2380
    domain: str = field(default=ORDINARY.domain, kw_only=True)
    address_6: str = field(default="", kw_only=True)

    @property
    def url(self) -> str:
        """URL of the API server."""
        return f"https://{self.address}:{self.api_port}"

    @property
    def api_hosts(self) -> tuple[str, ...]:
        """Names and addresses that clients call the API server by."""
        service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
        further = (self.address_6, API_SERVICE_ADDRESS_6) if self.address_6 else ()
        addresses = (API_SERVICE_ADDRESS, self.address, "127.0.0.1", *further)
        return (*service, f"kubernetes.default.svc.{self.domain}", *addresses)

    @property
    def service_networks(self) -> str:
        """Networks of the addresses of Services; the family that comes first must be that of the announced address."""
        return f"{SERVICE_NETWORK_6},{SERVICE_NETWORK}" if self.address_6 else str(SERVICE_NETWORK)


@dataclass(frozen=True)
class Layout:
    """Where a control plane finds its files, as its own processes see them.

    Attributes:
        program: The Kubernetes multi-call binary.
        directory: Home of `pki/` and `etcd/`.
    """

    program: Path
    directory: Path

    @property
    def pki(self) -> Path:
        """Certificates, keys and kubeconfigs."""
        return self.directory / "pki"


def prepare(directory: Path, endpoints: Endpoints) -> pki.Authority:
    """Make the directory of a new control plane, with its certificates."""
    certificates = directory / "pki"
    certificates.mkdir(mode=0o700, parents=True)
    (directory / "etcd").mkdir(mode=0o700)
    return pki.write_control_plane(certificates, endpoints.url, endpoints.api_hosts)


def commands(layout: Layout, endpoints: Endpoints) -> dict[str, tuple[str, ...]]:
    """Return the command of each process; `SERVERS` start first, and the others once these serve."""
    program = str(layout.program)
    return {
        "etcd": (program, "etcd", *_etcd(layout, endpoints)),
        "kube-apiserver": (program, "kube-apiserver", *_api_server(layout, endpoints)),
        "kube-controller-manager": (program, "kube-controller-manager", *_controller_manager(layout)),
        "kube-scheduler": (program, "kube-scheduler", *_scheduler(layout)),
    }


def _etcd(layout: Layout, endpoints: Endpoints) -> Iterator[str]:
    certificate, key = layout.pki / "etcd-server.crt", layout.pki / "etcd-server.key"
    client = f"https://127.0.0.1:{endpoints.etcd_port}"
    peer = f"http://127.0.0.1:{endpoints.etcd_peer_port}"
    yield f"--data-dir={layout.directory / 'etcd'}"
    yield "--name=default"
    yield f"--initial-cluster=default={peer}"
    yield f"--initial-advertise-peer-urls={peer}"
    yield f"--listen-peer-urls={peer}"
    yield f"--listen-client-urls={client}"
    yield f"--advertise-client-urls={client}"
    yield f"--cert-file={certificate}"
    yield f"--key-file={key}"
    yield "--client-cert-auth"
    yield f"--trusted-ca-file={layout.pki / 'etcd-ca.crt'}"
    # A cluster that dies with its machine needs no durability, and fsync is what a busy disk makes slow.
    yield "--unsafe-no-fsync"


def _api_server(layout: Layout, endpoints: Endpoints) -> Iterator[str]:
    files = layout.pki
    yield f"--bind-address={'::' if endpoints.address_6 else endpoints.address}"
    yield f"--advertise-address={endpoints.address_6 or endpoints.address}"
    yield f"--secure-port={endpoints.api_port}"
    yield f"--tls-cert-file={files / 'apiserver.crt'}"
    yield f"--tls-private-key-file={files / 'apiserver.key'}"
    yield f"--client-ca-file={files / 'ca.crt'}"
    yield f"--etcd-servers=https://127.0.0.1:{endpoints.etcd_port}"
    yield f"--etcd-cafile={files / 'etcd-ca.crt'}"
    yield f"--etcd-certfile={files / 'apiserver-etcd-client.crt'}"
    yield f"--etcd-keyfile={files / 'apiserver-etcd-client.key'}"
    yield f"--kubelet-certificate-authority={files / 'ca.crt'}"
    yield f"--kubelet-client-certificate={files / 'apiserver-kubelet-client.crt'}"
    yield f"--kubelet-client-key={files / 'apiserver-kubelet-client.key'}"
    yield "--kubelet-preferred-address-types=InternalIP"
    yield f"--service-cluster-ip-range={endpoints.service_networks}"
    yield f"--service-account-issuer=https://kubernetes.default.svc.{endpoints.domain}"
    yield f"--service-account-key-file={files / 'service-accounts.pub'}"
    yield f"--service-account-signing-key-file={files / 'service-accounts.key'}"
    yield f"--requestheader-client-ca-file={files / 'front-proxy-ca.crt'}"
    yield "--requestheader-allowed-names=front-proxy-client"
    yield "--requestheader-username-headers=X-Remote-User"
    yield "--requestheader-group-headers=X-Remote-Group"
    yield "--requestheader-extra-headers-prefix=X-Remote-Extra-"
    yield f"--proxy-client-cert-file={files / 'front-proxy-client.crt'}"
    yield f"--proxy-client-key-file={files / 'front-proxy-client.key'}"
    yield "--authorization-mode=Node,RBAC"
    yield "--enable-admission-plugins=NodeRestriction"
    yield "--allow-privileged=true"
    yield from audit.flags(layout.directory)
    if endpoints.address.startswith("127."):
        # A loopback address is refused as an endpoint of the Service `kubernetes`.
        yield "--endpoint-reconciler-type=none"


def _controller_manager(layout: Layout) -> Iterator[str]:
    files = layout.pki
    yield from _client(files / "kube-controller-manager.kubeconfig")
    yield "--use-service-account-credentials"
    yield f"--service-account-private-key-file={files / 'service-accounts.key'}"
    yield f"--root-ca-file={files / 'ca.crt'}"
    yield f"--cluster-signing-cert-file={files / 'ca.crt'}"
    yield f"--cluster-signing-key-file={files / 'ca.key'}"
    # Its default lies in /usr/libexec, which is not ours to write in.
    yield f"--flex-volume-plugin-dir={layout.directory / 'volume-plugins'}"


def _scheduler(layout: Layout) -> Iterator[str]:
    yield from _client(layout.pki / "kube-scheduler.kubeconfig")


def _client(kubeconfig: Path) -> Iterable[str]:
    yield f"--kubeconfig={kubeconfig}"
    yield "--leader-elect=false"
    # Nobody reads their metrics, and no port means no clash.
    yield "--secure-port=0"
