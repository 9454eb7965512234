"""Generated passwords are only in Secrets: no other object, Event or log of the whole run contains one, or its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest

from deploy.demo import installation
from deploy.demo.kube import Kube, Object
from reconciler.credentials import identities
from tests.e2e.conftest import Run
from tests.e2e.storages import read

OF_STORAGES = "toolhive.stacklok.dev/storage"
CERTIFICATES = ("session-storage-webhook-ca", "session-storage-webhook-tls")
# Ten storages with six passwords each; with fewer, the run would not have created what this test searches for.
FEWEST = 60


@pytest.fixture(scope="module")
def forbidden(kube: Kube, servers: object) -> frozenset[str]:
    """Collect every password, plain, hashed as Valkey knows it, and in base64, and our certificates' private keys."""
    plain: set[str] = set()
    written: set[str] = set()
    for found in kube.items("secrets", "", f"--selector={OF_STORAGES}"):
        values = identities.decoded(found["data"])
        plain |= {value for value in values.values() if identities.is_password(value)}
        written |= {found["data"][key] for key, value in values.items() if len(value) >= identities.PASSWORD_LENGTH}
    for name in CERTIFICATES:
        data = read(kube, "secret", name, installation.NAMESPACE)["data"]
        written |= {value for key, value in data.items() if key.endswith("key")}
    assert len(plain) >= FEWEST
    hashes = {hashlib.sha256(value.encode()).hexdigest() for value in plain}
    return frozenset(plain | hashes | written)


def leaks(text: str, forbidden: frozenset[str]) -> int:
    """Count the forbidden values in a text; a count, so that no failure shows a password."""
    return sum(value in text for value in forbidden)


def test_no_object_but_a_secret_holds_a_password(kube: Kube, forbidden: frozenset[str]) -> None:
    """Events are among the objects."""
    kinds = set(kube.run("api-resources", "--verbs=list", "--output=name").split()) - {"secrets"}
    found = kube.items(",".join(sorted(kinds)))
    assert {"Event", "Pod", "StatefulSet", "SessionStorage", "MCPServer"} <= {each["kind"] for each in found}
    assert [named(each) for each in found if leaks(json.dumps(each), forbidden)] == []


def named(obj: Object) -> str:
    return f"{obj['kind']} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def test_no_log_holds_a_password(run: Run, forbidden: frozenset[str]) -> None:
    logs = [*run.logs, *logs_of_pods(run.kube)]
    assert len(logs) > len(run.logs)
    assert sum(leaks(log, forbidden) for log in logs) == 0


def logs_of_pods(kube: Kube) -> Iterator[str]:
    """Read the logs of containers and of their predecessors, as far as they exist."""
    everything = ("--selector=no-such-label!=x", "--all-containers", "--tail=-1", "--max-log-requests=100")
    for namespace in {pod["metadata"]["namespace"] for pod in kube.items("pods")}:
        for which in ("--previous=false", "--previous"):
            yield kube.run("logs", *everything, which, "--ignore-errors", namespace=namespace)
