"""Counts what was written on a real API server, for tests that nothing is."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.control_plane import Kubectl

WRITES = re.compile(
    r'apiserver_request_total\{.*[{,]resource="(?P<resource>[^"]*)".*verb="(?P<verb>[A-Z]+)".*\} (?P<n>\S+)'
)
WRITTEN_BY_US = {
    "configmaps",
    "customresourcedefinitions",
    "mcpservers",
    "mutatingwebhookconfigurations",
    "networkpolicies",
    "pods",
    "secrets",
    "services",
    "sessionstorages",
    "statefulsets",
}
"""Every kind that our processes write but Leases, which are a heartbeat, and EndpointSlices, which Kubernetes keeps
writing where there are no nodes."""
WRITING = {"APPLY", "DELETE", "PATCH", "POST", "PUT"}


def writes(kubectl: Kubectl) -> Counter[tuple[str, str]]:
    """Count the write requests since the API server's start, for the kinds that our processes write."""
    found = WRITES.finditer(kubectl("get", "--raw", "/metrics"))
    counted: Counter[tuple[str, str]] = Counter()
    for match in found:
        if match["resource"] in WRITTEN_BY_US and match["verb"] in WRITING:
            counted[match["resource"], match["verb"]] += int(float(match["n"]))
    return counted
