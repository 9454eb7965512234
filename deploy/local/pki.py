"""The certificates and kubeconfigs of a control plane: who may speak to whom, written once per cluster.

They have no key identifiers and no key usage, like those of clusters that somebody made by hand or that are some years
old. Go's clients accept such certificates, so ours must too, and every test against this cluster shows that they do.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.pki.pem import PrivateKey

# A cluster lives for days; a year keeps one that was forgotten usable.
LIFETIME = timedelta(days=365)
# Lets a certificate be valid at once for a process whose clock is a little behind.
CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class Identity:
    """Whom a certificate names.

    Attributes:
        user: Common name: the user, to Kubernetes.
        group: Organisation: the group, to Kubernetes.
        hosts: DNS names and addresses; with any, the certificate can serve as well.
    """

    user: str
    group: str | None = None
    hosts: tuple[str, ...] = ()


class Authority:
    """A certificate authority that lives in memory; only what it issues is written.

    Attributes:
        certificate: The authority's own certificate in PEM.
    """

    def __init__(self, name: str) -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _unsigned(self._name, self._name, self._key, LIFETIME)
        # Go and OpenSSL take nothing for an authority that does not say so.
        is_authority = x509.BasicConstraints(ca=True, path_length=None)
        signed = builder.add_extension(is_authority, critical=True).sign(self._key, hashes.SHA256())
        self.certificate = signed.public_bytes(serialization.Encoding.PEM)

    def write(self, directory: Path, name: str, *, with_key: bool = False) -> None:
        """Write `<name>.crt` and, where something signs with it later, `<name>.key`."""
        (directory / f"{name}.crt").write_bytes(self.certificate)
        if with_key:
            write_private(directory / f"{name}.key", private_pem(self._key))

    def issue(self, directory: Path, name: str, identity: Identity, lifetime: timedelta = LIFETIME) -> None:
        """Write `<name>.crt` and `<name>.key` for an identity; `lifetime` counts from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, identity.user)]
        if identity.group:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.group))
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _unsigned(x509.Name(attributes), self._name, key, lifetime)
        if identity.hosts:
            purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(
                x509.SubjectAlternativeName(list(map(_alternative_name, identity.hosts))), critical=False
            )
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        (directory / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_private(directory / f"{name}.key", private_pem(key))


def write_control_plane(directory: Path, server: str, api_hosts: Iterable[str]) -> Authority:
    """Write everything the processes of a control plane need to know one another.

    Three authorities, as kubeadm has them: the API server must not take a front proxy's or etcd's certificate
    for a user's.

    Args:
        directory: Existing directory to fill.
        server: URL of the API server, for the kubeconfigs.
        api_hosts: Names and addresses that the API server is called by.

    Returns:
        The authority that signs users' certificates, and nodes'.
    """
    users, etcd, proxy = (Authority(f"session-storage-{name}") for name in ("cluster", "etcd", "front-proxy"))
    users.write(directory, "ca", with_key=True)
    etcd.write(directory, "etcd-ca")
    proxy.write(directory, "front-proxy-ca")
    users.issue(directory, "apiserver", Identity("kube-apiserver", hosts=tuple(api_hosts)))
    users.issue(directory, "apiserver-kubelet-client", Identity("kube-apiserver", "system:masters"))
    etcd.issue(directory, "etcd-server", Identity("etcd", hosts=("127.0.0.1",)))
    etcd.issue(directory, "apiserver-etcd-client", Identity("kube-apiserver"))
    proxy.issue(directory, "front-proxy-client", Identity("front-proxy-client"))
    _write_service_account_keys(directory)
    for name, identity in {
        "admin": Identity("kubernetes-admin", "system:masters"),
        "kube-controller-manager": Identity("system:kube-controller-manager"),
        "kube-scheduler": Identity("system:kube-scheduler"),
    }.items():
        write_kubeconfig(directory, name, server, users, identity)
    return users


def write_kubeconfig(directory: Path, name: str, server: str, authority: Authority, identity: Identity) -> None:
    """Write `<name>.kubeconfig`, which holds its own certificate and key."""
    authority.issue(directory, name, identity)
    config = kubeconfig(
        server,
        authority.certificate,
        (directory / f"{name}.crt").read_bytes(),
        (directory / f"{name}.key").read_bytes(),
    )
    write_private(directory / f"{name}.kubeconfig", config)


def kubeconfig(server: str, ca: bytes, certificate: bytes, key: bytes) -> bytes:
    """Compose a kubeconfig (JSON, which is YAML too) with one cluster, user and context."""
    name = "session-storage-local"

    def encoded(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": encoded(ca)}}],
        "users": [
            {
                "name": name,
                "user": {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)},
            }
        ],
    }
    return json.dumps(config, indent=2).encode()


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read."""
    file.touch(mode=0o600)
    file.write_bytes(content)


def private_pem(key: PrivateKey) -> bytes:
    """Encode a private key as Kubernetes reads it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write_service_account_keys(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_private(directory / "service-accounts.key", private_pem(key))
    (directory / "service-accounts.pub").write_bytes(public)


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
