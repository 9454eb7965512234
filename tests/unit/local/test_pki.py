import json
import ssl
import stat
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from deploy.local import pki
from deploy.local.pki import Authority, Identity


def test_server_certificate_is_accepted_by_a_strict_client(tmp_path: Path) -> None:
    authority = Authority("test")
    authority.write(tmp_path, "ca")
    authority.issue(tmp_path, "server", Identity("server", hosts=("localhost", "127.0.0.1")))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    # What Python 3.13 and later ask by default.
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
    ]
    pending = [1, 0]
    while pending:
        end = pending.pop(0)
        try:
            ends[end].do_handshake()
        except ssl.SSLWantReadError:
            pending.append(end)
    assert ends[1].version() == "TLSv1.3"


def test_client_certificate_names_user_and_group(tmp_path: Path) -> None:
    Authority("test").issue(tmp_path, "node", Identity("system:node:node1", "system:nodes"))
    subject = x509.load_pem_x509_certificate((tmp_path / "node.crt").read_bytes()).subject
    assert [attribute.value for attribute in subject] == ["system:node:node1", "system:nodes"]
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"


def test_only_the_owner_may_read_keys_and_kubeconfigs(tmp_path: Path) -> None:
    pki.write_control_plane(tmp_path, "https://127.0.0.1:6443", ["127.0.0.1"])
    private = [*tmp_path.glob("*.key"), *tmp_path.glob("*.kubeconfig")]
    assert private
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in private)


def test_each_kind_of_client_has_an_authority_of_its_own(tmp_path: Path) -> None:
    pki.write_control_plane(tmp_path, "https://127.0.0.1:6443", ["127.0.0.1"])
    assert len({file.read_bytes() for file in tmp_path.glob("*ca.crt")}) == 3


def test_kubeconfig_names_the_server(tmp_path: Path) -> None:
    pki.write_control_plane(tmp_path, "https://127.0.0.1:6443", ["127.0.0.1"])
    config = json.loads((tmp_path / "admin.kubeconfig").read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
