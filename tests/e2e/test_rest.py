"""A cluster at rest, with everything on it that the run has made: no writes, little memory, no hot loops."""

from __future__ import annotations

import re
import time
from collections import Counter

import pytest

from deploy.demo import installation
from deploy.demo.installation import NAMESPACE
from deploy.demo.kube import Kube
from deploy.demo.proxies import Proxies
from tests.e2e.namespaces import EXTERNAL

IDLE_SECONDS = 60
LOOKS_PER_STORAGE = IDLE_SECONDS / 5 + 1
"""A storage that waits is looked at every five seconds, one that is well every ten."""
BOUNDS_MIB = {"reconciler": 120, "webhook": 100}

# Every kind that our processes have a right to write; Deployments, because ToolHive writes those if wiring is unsteady.
KINDS = (
    *("sessionstorages", "mcpservers", "secrets", "configmaps", "services", "statefulsets", "deployments"),
    *("networkpolicies", "poddisruptionbudgets", "customresourcedefinitions", "mutatingwebhookconfigurations"),
)
WRITE = re.compile(
    rf'^apiserver_request_total{{[^}}]*resource="(?P<resource>{"|".join(KINDS)})"[^}}]*'
    r'subresource="(?P<subresource>\w*)",verb="(?P<verb>POST|PUT|PATCH|APPLY|DELETE)"[^}]*} (?P<count>\S+)$',
    re.MULTILINE,
)
RECONCILES = re.compile(
    r'^session_storage_reconciles_total\{outcome="(?P<outcome>\w+)"\} (?P<count>\S+)$', re.MULTILINE
)


def writes(kube: Kube) -> Counter[str]:
    counted: Counter[str] = Counter()
    for match in WRITE.finditer(kube.run("get", "--raw", "/metrics")):
        # ToolHive's operator writes the status of servers over and over while their pods wait for something.
        if (match["resource"], match["subresource"]) != ("mcpservers", "status"):
            counted[f"{match['verb']} {match['resource']}"] += int(float(match["count"]))
    return counted


def events(kube: Kube) -> dict[str, str]:
    """Our Events with the revision that each has; repeated ones change."""
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


@pytest.fixture(scope="module")
def rest(kube: Kube, servers: dict[str, Proxies]) -> dict[str, Counter[str]]:
    """What was written and reconciled in a minute in which nobody asked for anything."""
    for name, proxies in servers.items():
        proxies.await_ready(2 if name == "second" else 1)
    # Its storage waits for a later release, so that its proxy starts over and over, and applies its backend each time.
    kube.run("delete", "mcpservers", "my-server", "--ignore-not-found", namespace=EXTERNAL)
    quiet(kube)
    written, reconciled, told = writes(kube), reconciles(kube), events(kube)
    time.sleep(IDLE_SECONDS)  # the thing measured: a stretch of time without an event
    more_told = events(kube).items() - told.items()
    return {
        "written": writes(kube) - written,
        "reconciled": reconciles(kube) - reconciled,
        "told": Counter(dict.fromkeys(dict(more_told), 1)),
    }


def quiet(kube: Kube) -> None:
    """Wait until what the tests before have set off has come to an end: two looks, five seconds apart, see the same."""
    before = writes(kube)
    for _ in range(12):
        time.sleep(5)
        now = writes(kube)
        if now == before:
            return
        before = now
    pytest.fail("the cluster did not come to rest within a minute")


def test_nothing_is_written(rest: dict[str, Counter[str]]) -> None:
    assert rest["written"] == Counter()
    assert rest["told"] == Counter()


def test_nothing_fails_or_is_tried_again_hotly(rest: dict[str, Counter[str]], kube: Kube, figures: list[str]) -> None:
    storages = len(kube.items("sessionstorages"))
    figures.append(f"{storages} storages, {dict(rest['reconciled'])} reconciles in {IDLE_SECONDS} s")
    assert rest["reconciled"]["error"] == 0
    assert 0 < rest["reconciled"]["ok"] <= storages * LOOKS_PER_STORAGE


def test_the_processes_stay_small(kube: Kube, figures: list[str]) -> None:
    for pod in installation.pods(kube):
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        status = kube.run("exec", pod["metadata"]["name"], "--", "cat", "/proc/1/status", namespace=NAMESPACE)
        resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        figures.append(f"{pod['metadata']['name']}: {resident:.0f} MiB resident")
        assert resident <= BOUNDS_MIB[component]
