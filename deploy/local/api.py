"""The few requests that the local cluster itself makes to its API server.

kubectl and Helm do everything bigger. This module is for waiting, where it would cost more to start a program for
every request than to make the request.
"""

import base64
import http.client
import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shared import tls

# A request costs about 3 ms of CPU. Four a second disturb nobody, and a wait ends at most a quarter of a second late.
RETRY_SECONDS = 0.25
REQUEST_DEADLINE_SECONDS = 10


class Client:
    """Reads from the API server that a kubeconfig of `pki.kubeconfig` names."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = urlsplit(cluster["server"])
        self._tls = tls.client_context(cadata=_decoded(cluster["certificate-authority-data"]).decode())
        # Python reads client certificates from files only.
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
            pem.flush()
            self._tls.load_cert_chain(pem.name)

    def connection(self) -> http.client.HTTPSConnection:
        """Return a connection that opens with its first request, and stays open until the caller closes it."""
        return http.client.HTTPSConnection(self._server.netloc, timeout=REQUEST_DEADLINE_SECONDS, context=self._tls)

    def get(self, path: str) -> Any | None:
        """Return the object at `path`, or None while it or the server cannot be reached."""
        connection = self.connection()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return json.loads(body) if response.status == http.HTTPStatus.OK else None

    def answers(self, path: str) -> bool:
        """Tell whether there is an object at `path`."""
        return self.get(path) is not None


def _decoded(data: str) -> bytes:
    return base64.b64decode(data)
