import json
import stat
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from deploy.local import pki
from deploy.local.pki import Authority, Identity


def test_no_certificate_has_more_than_go_asks_for(tmp_path: Path) -> None:
    """Clusters that somebody made by hand have such certificates; the whole of e2e then runs on one."""
    pki.write_control_plane(tmp_path, "https://127.0.0.1:6443", ["127.0.0.1"])
    found = {
        file.stem: {type(extension.value) for extension in x509.load_pem_x509_certificate(file.read_bytes()).extensions}
        for file in tmp_path.glob("*.crt")
    }
    assert found["ca"] == {x509.BasicConstraints}
    assert found["apiserver"] == {x509.SubjectAlternativeName, x509.ExtendedKeyUsage}
    strict = {x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier, x509.KeyUsage}
    assert not any(extensions & strict for extensions in found.values())


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
