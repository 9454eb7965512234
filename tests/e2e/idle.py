"""Observes a minute without user requests: who writes, reconciles and reports what."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from deploy.demo import installation
from deploy.demo.installation import NAMESPACE
from deploy.demo.kube import Kube, Object
from tests.e2e.namespaces import KINDS
from tests.support.audit import AuditLog

IDLE_SECONDS: Final = 60
RECONCILES: Final = re.compile(
    r'^session_storage_reconciles_total\{outcome="(?P<outcome>\w+)"\} (?P<count>\S+)$', re.MULTILINE
)
UNSTEADY: Final = frozenset({"events", "events.events.k8s.io"})
"""Resources that no controller acts on, and that change at rest; `written` counts ours."""

Snapshot = dict[tuple[str, str], Object]


@dataclass
class Idle:
    """The observations of a minute at rest.

    Attributes:
        written: Every write of our processes, Events among them.
        provoked: What others wrote, and might have written because of us.
        reconciled: Number of reconciles by outcome.
        before: Every object in the namespace with consumers of all kinds, at the beginning.
        after: The same at the end.
    """

    written: Counter[str]
    provoked: Counter[str]
    reconciled: Counter[str]
    before: Snapshot = field(repr=False)
    after: Snapshot = field(repr=False)


def observe(kube: Kube, log: AuditLog, seconds: float = IDLE_SECONDS) -> Idle:
    """Wait until the cluster is at rest, and then watch it."""
    resting = log.at_rest(partial(kube.items, "namespaces"))
    before, reconciled = snapshot(kube), reconciles(kube)
    time.sleep(seconds)  # what the test measures: a period without writes
    after = snapshot(kube)
    return Idle(log.since(resting), log.provoked_since(resting), reconciles(kube) - reconciled, before, after)


def snapshot(kube: Kube) -> Snapshot:
    """Read every object in the namespace with consumers of all kinds."""
    kinds = set(kube.run("api-resources", "--verbs=list", "--namespaced", "--output=name").split()) - UNSTEADY
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in kube.items(",".join(sorted(kinds)), KINDS)}


def reconciles(kube: Kube) -> Counter[str]:
    counted: Counter[str] = Counter()
    for pod in installation.pods(kube):
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "reconciler":
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
            for match in RECONCILES.finditer(kube.run("get", "--raw", path)):
                counted[match["outcome"]] += int(float(match["count"]))
    return counted
