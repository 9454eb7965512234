"""Runs the Go webhook on controller-runtime in place of ours, for objects with the label `LABELS`."""

from __future__ import annotations

import base64
import contextlib
from typing import TYPE_CHECKING, Final

from certs.pki import validation
from tests.bench import servers
from tests.bench.calls import Webhook
from tests.bench.cases import PATH, STORAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shared.objects.resources import Object
    from tests.integration.control_plane import Kubectl

NAMESPACE: Final = "kube-system"
"""A namespace that our webhook's configuration excludes."""
_NAME: Final = "rival.example.com"
LABELS: Final = {"example.com/wired-by": "rival"}
_SERVICE: Final = {"name": "rival", "namespace": NAMESPACE}


@contextlib.contextmanager
def running(kubectl: Kubectl, directory: Path) -> Iterator[Webhook]:
    """Run the webhook, and register it with the API server, until the block ends."""
    storage = (NAMESPACE, STORAGE["metadata"]["name"])
    with servers.controller_runtime(directory, (_SERVICE["name"], NAMESPACE), [storage]) as server:
        kubectl.apply(_service(server), _configuration(server))
        yield Webhook(_NAME, f"{validation.dns_names(_SERVICE['name'], NAMESPACE)[0]}:{server.port}")


def _service(server: servers.Server) -> Object:
    spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": server.port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _SERVICE, "spec": spec}


def _configuration(server: servers.Server) -> Object:
    authority = base64.b64encode(server.authority.read_bytes()).decode()
    webhook = {
        "name": _NAME,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"service": {**_SERVICE, "path": PATH, "port": server.port}, "caBundle": authority},
        "objectSelector": {"matchLabels": LABELS},
        "rules": [
            {
                "apiGroups": ["toolhive.stacklok.dev"],
                "apiVersions": ["v1beta1"],
                "operations": ["CREATE"],
                "resources": ["mcpservers"],
            }
        ],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": _SERVICE["name"]},
        "webhooks": [webhook],
    }
