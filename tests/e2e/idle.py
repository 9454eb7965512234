"""Observes a minute without user requests: who writes, reconciles and reports what."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import pytest

from deploy.demo import installation
from deploy.demo.installation import NAMESPACE
from deploy.demo.kube import Kube, Object
from tests.e2e.namespaces import KINDS

IDLE_SECONDS: Final = 60
CONSUMERS: Final = ("mcpservers", "mcpremoteproxies", "virtualmcpservers")
# Every kind that our processes may write, and Deployments, which ToolHive would write if injection were unstable.
WRITTEN: Final = (
    *("sessionstorages", *CONSUMERS, "secrets", "configmaps", "services", "statefulsets", "deployments"),
    *("networkpolicies", "poddisruptionbudgets", "customresourcedefinitions", "mutatingwebhookconfigurations"),
    "validatingwebhookconfigurations",
)
WRITE: Final = re.compile(
    rf'^apiserver_request_total{{[^}}]*resource="(?P<resource>{"|".join(WRITTEN)})"[^}}]*'
    r'subresource="(?P<subresource>\w*)",verb="(?P<verb>POST|PUT|PATCH|APPLY|DELETE)"[^}]*} (?P<count>\S+)$',
    re.MULTILINE,
)
RECONCILES: Final = re.compile(
    r'^session_storage_reconciles_total\{outcome="(?P<outcome>\w+)"\} (?P<count>\S+)$', re.MULTILINE
)
UNSTEADY: Final = frozenset({"events", "events.events.k8s.io"})
"""Resources that no controller acts on, and that change at rest; `told` counts ours."""

Snapshot = dict[tuple[str, str], Object]


@dataclass
class Idle:
    """The observations of a minute at rest.

    Attributes:
        written: Writes by anybody to kinds that we write, by verb and kind, without the status of consumers.
        reconciled: Number of reconciles by outcome.
        told: Our Events that were created or repeated.
        before: Every object in the namespace with consumers of all kinds, at the beginning.
        after: The same at the end.
    """

    written: Counter[str]
    reconciled: Counter[str]
    told: set[str]
    before: Snapshot = field(repr=False)
    after: Snapshot = field(repr=False)


def observe(kube: Kube, seconds: float = IDLE_SECONDS) -> Idle:
    """Wait until the cluster is at rest, and then watch it."""
    quiet(kube)
    before, written, reconciled, told = snapshot(kube), writes(kube), reconciles(kube), events(kube)
    time.sleep(seconds)  # what the test measures: a period without writes
    return Idle(
        writes(kube) - written,
        reconciles(kube) - reconciled,
        {uid for uid, _ in events(kube).items() - told.items()},
        before,
        snapshot(kube),
    )


def quiet(kube: Kube) -> None:
    """Wait until the effects of earlier tests have ended: two snapshots, five seconds apart, are the same."""
    before = writes(kube)
    for _ in range(12):
        time.sleep(5)
        now = writes(kube)
        if now == before:
            return
        before = now
    pytest.fail("the cluster did not come to rest within a minute")


def snapshot(kube: Kube) -> Snapshot:
    """Read every object in the namespace with consumers of all kinds."""
    kinds = set(kube.run("api-resources", "--verbs=list", "--namespaced", "--output=name").split()) - UNSTEADY
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in kube.items(",".join(sorted(kinds)), KINDS)}


def writes(kube: Kube) -> Counter[str]:
    counted: Counter[str] = Counter()
    for match in WRITE.finditer(kube.run("get", "--raw", "/metrics")):
        # ToolHive writes consumers' status again and again: of servers while pods wait, of virtual servers always.
        if not (match["resource"] in CONSUMERS and match["subresource"] == "status"):
            counted[f"{match['verb']} {match['resource']}"] += int(float(match["count"]))
    return counted


def events(kube: Kube) -> dict[str, str]:
    """Return our Events with their resource versions; a repeated Event gets a new one."""
    found = kube.items("events.events.k8s.io")
    ours = (event for event in found if event.get("regarding", {}).get("kind") == "SessionStorage")
    return {event["metadata"]["uid"]: event["metadata"]["resourceVersion"] for event in ours}


def reconciles(kube: Kube) -> Counter[str]:
    counted: Counter[str] = Counter()
    for pod in installation.pods(kube):
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "reconciler":
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
            for match in RECONCILES.finditer(kube.run("get", "--raw", path)):
                counted[match["outcome"]] += int(float(match["count"]))
    return counted
