"""No generated password is anywhere but in Secrets: not in an object, an Event or a log of the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.demo.kube import Kube, Object
from shared import credentials
from tests.e2e.conftest import Run

OURS = "app.kubernetes.io/managed-by=toolhive-session-storage"
# Ten storages with six passwords each: fewer would mean that the run made none worth looking for.
FEWEST = 60


@pytest.fixture(scope="module")
def forbidden(kube: Kube, servers: object) -> frozenset[str]:
    """Every password as it is, and every value that holds one as base64 writes it."""
    plain: set[str] = set()
    written: set[str] = set()
    for secret in kube.items("secrets", "", f"--selector={OURS}"):
        values = credentials.decoded(secret["data"])
        plain |= {value for value in values.values() if credentials.is_password(value)}
        written |= {secret["data"][key] for key, value in values.items() if len(value) >= credentials.PASSWORD_LENGTH}
    assert len(plain) >= FEWEST
    return frozenset(plain | written)


def leaks(text: str, forbidden: frozenset[str]) -> int:
    """Count what is in a text and must not be; a count, so that no failure shows a password."""
    return sum(value in text for value in forbidden)


def test_no_object_but_a_secret_holds_a_password(kube: Kube, forbidden: frozenset[str]) -> None:
    """Events are objects too."""
    kinds = kube.run("api-resources", "--verbs=list", "--output=name").split()
    found = {
        kind: leaks(kube.run("get", kind, "--all-namespaces", "--output=json"), forbidden)
        for kind in set(kinds) - {"secrets"}
    }
    assert {"events", "pods", "sessionstorages.toolhive.stacklok.dev"} <= found.keys()
    assert {kind: count for kind, count in found.items() if count} == {}


def test_no_log_holds_a_password(run: Run, forbidden: frozenset[str]) -> None:
    logs = [*run.logs, *logs_of_pods(run.kube)]
    assert len(logs) > len(run.logs)
    assert sum(leaks(log, forbidden) for log in logs) == 0


def logs_of_pods(kube: Kube) -> Iterator[str]:
    for pod in kube.items("pods"):
        metadata = pod["metadata"]
        for options in options_of_logs(pod):
            yield kube.run("logs", metadata["name"], *options, namespace=metadata["namespace"])


def options_of_logs(pod: Object) -> Iterator[tuple[str, ...]]:
    """Name every log that a pod has, by kubectl's options."""
    for status in pod["status"].get("containerStatuses", []):
        container = f"--container={status['name']}"
        if "waiting" not in status["state"]:
            yield (container,)
        if status["restartCount"]:
            yield (container, "--previous")
