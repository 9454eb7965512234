"""Has our processes shake hands with the API server, in the image that users run.

The image has Python 3.13, whose default refuses certificates without key identifiers; the tests' own Python may be
older.
"""

from __future__ import annotations

from typing import Final

from deploy.demo.installation import NAMESPACE
from deploy.demo.kube import Kube

SHAKE_HANDS: Final = """
import os, socket, ssl
from shared import tls
authority = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
address = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
for context in (ssl.create_default_context(cafile=authority), tls.client_context(cafile=authority)):
    with socket.create_connection(address, 5) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=address[0]) as connection:
                print(connection.version())
        except ssl.SSLCertVerificationError as error:
            print(error.verify_message)
"""
OURS_ALONE: Final = ["Missing Authority Key Identifier", "TLSv1.3"]
"""Where the API server's certificate has no key identifiers: Python's default refuses it, and we speak TLS."""


def outcomes(kube: Kube, process: str) -> list[str]:
    """Return what comes of a handshake with Python's default, and with our own settings.

    Args:
        kube: The cluster.
        process: Name of one of our Deployments.
    """
    return kube.run(
        "exec", f"deployment/{process}", "--", "python", "-c", SHAKE_HANDS, namespace=NAMESPACE
    ).splitlines()
