"""The chart's rights are as narrow as RBAC can say; the tests need no Helm."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

TEMPLATES: Final = Path(__file__).parents[3] / "deploy" / "chart" / "templates"
RECONCILER = (TEMPLATES / "reconciler" / "rbac.yaml").read_text()
WEBHOOK = (TEMPLATES / "webhook" / "rbac.yaml").read_text()
BY_NAME = ("customresourcedefinitions", "mutatingwebhookconfigurations")


def rules(text: str) -> list[str]:
    """Split the text of a template into its rules, each from `apiGroups` to its verbs."""
    return re.findall(r"- apiGroups:.*?verbs:[^\n]*", text, re.DOTALL)


def test_crds_are_named() -> None:
    rule, openshift = [each for each in rules(RECONCILER) if "customresourcedefinitions" in each]
    assert "resourceNames: [securitycontextconstraints.security.openshift.io]" in openshift
    assert "verbs: [get]" in openshift
    named = re.findall(r"- (\S+\.toolhive\.stacklok\.dev)", rule)
    assert named == [
        f"{kind}.toolhive.stacklok.dev" for kind in ("mcpservers", "mcpremoteproxies", "virtualmcpservers")
    ]


@pytest.mark.parametrize("resource", BY_NAME)
def test_what_the_cluster_has_few_of_is_named(resource: str) -> None:
    found = [each for each in rules(RECONCILER + WEBHOOK) if resource in each]
    assert found
    assert all("resourceNames" in each for each in found)


def test_nothing_that_has_a_namespace_is_left_in_the_cluster_roles_of_an_installation_that_watches_some() -> None:
    for text in (RECONCILER, WEBHOOK):
        role, _, _ = text.partition("---\n")
        _, _, left = role.partition("{{- end }}")
        assert rules(left)
        for resource in ("secrets", "pods", "services", "statefulsets", "sessionstorages", "mcpservers/"):
            assert resource not in left


def test_the_policies_name_every_resource_that_the_reconciler_may_write() -> None:
    policy = (TEMPLATES / "reconciler" / "policy.yaml").read_text()
    judged = set(re.findall(r"[a-z]+", " ".join(re.findall(r"resources: \[(.*?)\]", policy))))
    judged |= {"mcpservers", "mcpremoteproxies", "virtualmcpservers"}
    # Statuses and finalizers change no object; API servers ask no policy about webhook configurations.
    left_out = {"sessionstorages", "events", "leases", *BY_NAME}
    written: set[str] = set()
    for rule in rules(RECONCILER):
        if re.search(r"verbs: \[.*(create|update|patch|delete)", rule):
            (resources,) = re.findall(r"resources: \[(.*?)\]", rule)
            written |= {name for name in resources.split(", ") if "/" not in name}
    assert "secrets" in written
    assert written - judged - left_out == set()
