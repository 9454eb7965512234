"""Tells who writes what to a real API server, out of the log of `deploy.local.audit`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.demo.installation import NAMESPACE

CONSUMERS: Final = ("mcpservers", "mcpremoteproxies", "virtualmcpservers")
PROVOKED: Final = frozenset({*CONSUMERS, "secrets", "configmaps", "services", "statefulsets", "deployments"})
"""Kinds that others write in answer to our writes: ToolHive and Kubernetes would go on with them if injection, or what
the reconciler applies, were unstable."""
QUIET_SECONDS: Final = 5
QUIET_TRIES: Final = 24


@dataclass(frozen=True)
class Write:
    """A request of a service account that changes something, or tries to.

    Attributes:
        user: The account's user name.
        verb: Kubernetes' verb, such as `patch`.
        resource: The kind in the plural.
        subresource: Such as `status`; empty for the object itself.
        target: The object as `<namespace>/<name>`.
    """

    user: str
    verb: str
    resource: str
    subresource: str
    target: str

    @classmethod
    def of(cls, event: dict[str, Any]) -> Write:
        """Read an event of the log (`audit.k8s.io/v1`)."""
        of = event["objectRef"]
        target = f"{of.get('namespace', '')}/{of.get('name', '')}"
        return cls(event["user"]["username"], event["verb"], of["resource"], of.get("subresource", ""), target)

    @property
    def is_answer(self) -> bool:
        """Whether somebody else who made it might have made it because of us.

        ToolHive writes consumers' status again and again: of servers while pods wait, of virtual servers always.
        """
        is_routine = self.resource in CONSUMERS and self.subresource == "status"
        return self.resource in PROVOKED and not is_routine

    def __str__(self) -> str:
        return f"{self.verb} {'/'.join(filter(None, (self.resource, self.subresource)))} {self.target}"


class AuditLog:
    """The writes of service accounts, each as a text such as `patch pods test-1/cache-valkey-0-0`."""

    def __init__(self, file: Path, *releases: str) -> None:
        """Take the log of an API server, and the namespaces of our releases; without any, that of the local cluster."""
        self._file = file
        self._ours = tuple(f"system:serviceaccount:{namespace}:" for namespace in releases or (NAMESPACE,))

    def position(self) -> int:
        """Return where the next write is logged."""
        return self._file.stat().st_size

    def at_rest(self, namespaces: Callable[[], Iterable[dict[str, Any]]]) -> int:
        """Wait until earlier tests have had their effects, and return where the next write is logged.

        No namespace is being deleted then, and for five seconds neither our processes have written anything, nor has
        anybody because of them.

        Args:
            namespaces: Reads all namespaces.
        """
        told: list[str] = []
        for _ in range(QUIET_TRIES):
            before = self.position()
            time.sleep(QUIET_SECONDS)  # what the test measures: a period without writes
            now = self.position()
            leaving = [each["metadata"]["name"] for each in namespaces() if "deletionTimestamp" in each["metadata"]]
            told = [f"namespace {name} is being deleted" for name in leaving]
            told += [*self.since(before), *self.provoked_since(before)]
            if not told:
                return now
        pytest.fail(f"the cluster did not come to rest: {told}")

    def since(self, position: int) -> Counter[str]:
        """Count our processes' writes that were logged after a position."""
        return Counter(str(write) for write in self._writes(position) if write.user.startswith(self._ours))

    def provoked_since(self, position: int) -> Counter[str]:
        """Count what others wrote after a position, and might have written because of us."""
        others = (write for write in self._writes(position) if not write.user.startswith(self._ours))
        return Counter(f"{write} by {write.user}" for write in others if write.is_answer)

    def _writes(self, position: int) -> Iterator[Write]:
        assert position <= self.position(), "the API server has begun a new log"
        with self._file.open("rb") as log:
            log.seek(position)
            yield from (Write.of(json.loads(line)) for line in log)
