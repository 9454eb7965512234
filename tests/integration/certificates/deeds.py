"""What people, tools and accidents do to the objects of a stage, and what clients see of it."""

from __future__ import annotations

import base64
import json
import socket
import ssl

from cryptography import x509

from certs.pki import validation
from certs.pki.pem import Pair, bundle_pem
from tests.integration.certificates.replica import SERVICE, Replica
from tests.integration.certificates.stage import CONFIGURATION, Stage
from tests.integration.installation import NAMESPACE

NAMES = validation.dns_names(SERVICE, NAMESPACE)
THEIRS = "from-cert-manager"


def delete(stage: Stage, name: str) -> None:
    stage.kubectl("delete", "secret", name, "-n", NAMESPACE)


def wipe_bundles(stage: Stage) -> None:
    webhooks = (stage.client.get(CONFIGURATION) or {})["webhooks"]
    wipe = [{"op": "remove", "path": f"/webhooks/{number}/clientConfig/caBundle"} for number in range(len(webhooks))]
    stage.kubectl("patch", "mutatingwebhookconfiguration", SERVICE, "--type=json", "-p", json.dumps(wipe))


def give_theirs(stage: Stage, leaf: Pair, *trusted: Pair) -> None:
    """Write the serving Secret as cert-manager does, with a leaf of another authority."""
    content = {
        "tls.crt": leaf.certificate_pem,
        "tls.key": leaf.key_pem,
        "ca.crt": bundle_pem(authority.certificate for authority in trusted),
    }
    data = {key: base64.b64encode(value).decode() for key, value in content.items()}
    metadata = {"name": THEIRS, "namespace": NAMESPACE}
    stage.kubectl.apply(
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}
    )


def is_served(stage: Stage, leaf: x509.Certificate) -> bool:
    """Return whether every replica serves a certificate."""
    return all(served_by(replica, next(iter(stage.bundles()))) == leaf for replica in stage.replicas)


def served_by(replica: Replica, authority: bytes) -> x509.Certificate:
    """Connect to a replica as an API server that trusts these authorities."""
    context = ssl.create_default_context(cadata=authority.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", replica.port), timeout=5) as connection,
        context.wrap_socket(connection, server_hostname=NAMES[0]) as secured,
    ):
        der = secured.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def issuer_of(authority: bytes) -> x509.Name:
    return x509.load_pem_x509_certificate(authority).subject
