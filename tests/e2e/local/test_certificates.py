"""The product's image accepts what Go accepts: certificates without key identifiers and key usage."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from deploy.demo.installation import PROCESSES
from deploy.local.pki import Authority, Identity
from reconciler.apply import passwords
from tests.e2e import handshakes
from tests.e2e.conftest import Run
from tests.e2e.namespaces import THEIRS
from tests.e2e.storages import await_ready, storage

STORE: Final = "bare"
TLS_PORT: Final = 6380


@pytest.mark.parametrize("process", PROCESSES)
def test_processes_trust_an_api_server_that_pythons_default_refuses(run: Run, process: str) -> None:
    assert handshakes.outcomes(run.kube, process) == handshakes.OURS_ALONE


def test_an_external_store_with_such_a_certificate_is_ready(run: Run, tmp_path: Path) -> None:
    host = f"{STORE}.{THEIRS}.svc"
    authority = Authority("by hand")
    authority.issue(tmp_path, "tls", Identity("valkey", hosts=(host,)))
    metadata = {"name": STORE, "namespace": THEIRS, "labels": {"app": STORE}}
    password = passwords.generate()
    run.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": {
                "password": password,
                "ca.crt": authority.certificate.decode(),
                "tls.crt": (tmp_path / "tls.crt").read_text(),
                "tls.key": (tmp_path / "tls.key").read_text(),
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": metadata["labels"], "ports": [{"port": TLS_PORT}]},
        },
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": valkey(run.images.valkey)},
        storage(STORE, THEIRS, external={"url": f"rediss://{host}:{TLS_PORT}", "secretRef": STORE}),
    )
    await_ready(run.kube, THEIRS, STORE)


def valkey(image: str) -> dict[str, object]:
    """Build the pod of a Valkey that speaks TLS."""
    files = "--tls-cert-file /tls/tls.crt --tls-key-file /tls/tls.key --tls-ca-cert-file /tls/ca.crt"
    options = f"--bind 0.0.0.0 --port 0 --tls-port {TLS_PORT} --tls-auth-clients no {files}"
    container = {
        "name": "valkey",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", f'printf "requirepass %s\\n" "$PASSWORD" | exec valkey-server - {options}'],
        "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": STORE, "key": "password"}}}],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    return {"containers": [container], "volumes": [{"name": "tls", "secret": {"secretName": STORE}}]}
