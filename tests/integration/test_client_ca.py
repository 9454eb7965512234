"""An API server that presents a certificate to the webhook, as docs/howto/install.md says, in a cluster of its own."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.pki import Authority, Identity
from tests.integration.consumers import await_injection_of_all, found, referring
from tests.integration.control_plane import Kubectl, running_control_plane
from tests.integration.installation import (
    NAMESPACE,
    RELEASE,
    install_chart,
    install_toolhive_crds,
    running_processes,
)
from tests.integration.loopback import free_port
from tests.integration.mcpservers import RECORD
from tests.integration.processes import Process, eventually

CONFIG_MAP = "api-servers"


class Certificates:
    """An authority for API servers, a certificate by it, and the files by which an API server presents that."""

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self.authority = Authority("api servers")
        self.authority.issue(directory, "client", Identity("kube-apiserver"))
        self.certificate = (directory / "client.crt", directory / "client.key")
        kubeconfig, self.configuration = directory / "webhooks.kubeconfig", directory / "admission.yaml"
        user = {"client-certificate": str(self.certificate[0]), "client-key": str(self.certificate[1])}
        # A Service's port other than 443 is part of the user's name.
        name = f"{RELEASE}-webhook.{NAMESPACE}.svc:{port}"
        kubeconfig.write_text(
            json.dumps({"apiVersion": "v1", "kind": "Config", "users": [{"name": name, "user": user}]})
        )
        plugin = {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "WebhookAdmissionConfiguration",
            "kubeConfigFile": str(kubeconfig),
        }
        self.configuration.write_text(
            json.dumps(
                {
                    "apiVersion": "apiserver.config.k8s.io/v1",
                    "kind": "AdmissionConfiguration",
                    "plugins": [{"name": "MutatingAdmissionWebhook", "configuration": plugin}],
                }
            )
        )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"), free_port())


@pytest.fixture(scope="module")
def kubectl(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    directory = tmp_path_factory.mktemp("client-ca") / "control-plane"
    flag = f"--admission-control-config-file={certificates.configuration}"
    with running_control_plane(directory, flag) as control_plane:
        yield Kubectl(control_plane.kubeconfig)


@pytest.fixture(scope="module", autouse=True)
def _running(
    kubectl: Kubectl, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Process]]:
    install_toolhive_crds(kubectl)
    objects = install_chart(kubectl, certificates.port, f"webhook.clientCA.configMap={CONFIG_MAP}")
    trust(kubectl, certificates.authority)
    with running_processes(objects, kubectl, certificates.port, tmp_path_factory.mktemp("processes")) as made:
        await_injection_of_all(kubectl)
        yield made


def trust(kubectl: Kubectl, *authorities: Authority) -> None:
    text = b"".join(authority.certificate for authority in authorities).decode()
    metadata = {"name": CONFIG_MAP, "namespace": NAMESPACE}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": text}})


def is_answered(port: int, certificate: tuple[Path, Path] | None) -> bool:
    """Tell whether the webhook answers a client; it answers this request with 405."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(*certificate)
    try:
        urllib.request.urlopen(f"https://127.0.0.1:{port}/mutate/consumers", context=context, timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == 405
    except OSError:
        return False
    return False


def test_the_api_server_gets_its_answers(kubectl: Kubectl) -> None:
    kubectl.api.create(referring("MCPServer", "default", "string"))
    assert '"storage":"default/mine"' in found(kubectl, "MCPServer", "default")["metadata"]["annotations"][RECORD]


def test_nobody_else_gets_an_answer(certificates: Certificates, tmp_path: Path) -> None:
    assert is_answered(certificates.port, certificates.certificate)
    assert not is_answered(certificates.port, None)
    Authority("api servers").issue(tmp_path, "other", Identity("kube-apiserver"))
    assert not is_answered(certificates.port, (tmp_path / "other.crt", tmp_path / "other.key"))


def test_another_authority_counts_without_a_restart(kubectl: Kubectl, certificates: Certificates) -> None:
    trust(kubectl, Authority("others"))
    eventually(lambda: not is_answered(certificates.port, certificates.certificate), what="the former one is refused")
    trust(kubectl, Authority("others"), certificates.authority)
    eventually(lambda: is_answered(certificates.port, certificates.certificate), what="both are trusted")
