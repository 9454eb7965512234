"""Tells what our processes write to a real API server, as it audits them: nobody else's requests are among it."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from shared.objects.resources import NAMESPACES, Object
from tests.integration.control_plane import Kubectl
from tests.integration.installation import NAMESPACE
from tests.integration.processes import eventually


def policy(*namespaces: str) -> Object:
    """Log the writes of the service accounts of these namespaces.

    The API server audits what no rule matches not at all:
    https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#audit-policy.
    """
    rules: list[Object] = [
        # A heartbeat, and questions that change nothing.
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        {"level": "None", "resources": [{"group": "authentication.k8s.io"}, {"group": "authorization.k8s.io"}]},
        {
            "level": "Metadata",
            "userGroups": [f"system:serviceaccounts:{namespace}" for namespace in namespaces],
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
        },
    ]
    return {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}


class AuditLog:
    """The writes of our service accounts, each as a text such as `patch pods test-1/cache-valkey-0-0`."""

    def __init__(self, directory: Path, *namespaces: str) -> None:
        """Take a directory that exists, for the policy and the log, and the namespaces of releases."""
        self._policy = directory / "audit-policy.yaml"
        self._log = directory / "audit.log"
        self._policy.write_text(yaml.safe_dump(policy(*(namespaces or (NAMESPACE,)))))
        self._log.touch()

    @property
    def flags(self) -> tuple[str, str]:
        """Flags for the API server, which by default answers a request once it has logged it."""
        return f"--audit-policy-file={self._policy}", f"--audit-log-path={self._log}"

    def position(self) -> int:
        """Return where the next write is logged."""
        return self._log.stat().st_size

    def at_rest(self, kubectl: Kubectl) -> int:
        """Wait until earlier tests have had their effects, and return where the next write is logged.

        No namespace is being deleted then, and our processes have written nothing for five seconds.
        """
        eventually(lambda: not _leaving(kubectl), what="no other test's namespace is being deleted")
        for _ in range(24):
            before = self.position()
            time.sleep(5)  # what the test measures: a period without writes
            if (now := self.position()) == before:
                return now
        pytest.fail(f"our processes did not come to rest: {self.since(before)}")

    def since(self, position: int) -> Counter[str]:
        """Count the writes that were logged after a position."""
        with self._log.open("rb") as log:
            log.seek(position)
            return Counter(_told(json.loads(line)) for line in log)


def _told(event: dict[str, object]) -> str:
    target = event["objectRef"]
    assert isinstance(target, dict)
    kind = "/".join(filter(None, (target["resource"], target.get("subresource"))))
    return f"{event['verb']} {kind} {target.get('namespace', '')}/{target.get('name', '')}"


def _leaving(kubectl: Kubectl) -> list[str]:
    found = (each["metadata"] for each in kubectl.api.list(NAMESPACES))
    return [metadata["name"] for metadata in found if "deletionTimestamp" in metadata]
