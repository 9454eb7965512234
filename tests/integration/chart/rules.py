"""Rules of platforms, as admission policies of a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.objects.resources import Object

FIRST_ID, LAST_ID = 1000650000, 1000659999
"""The range of user and group ids that OpenShift might give to a namespace."""
OUT_OF_RANGE = "an id is not in the range of the namespace"
SIDECAR = "sidecar"
LEAST_CPU, LEAST_MEMORY = "250m", "512Mi"
"""GKE Autopilot's minima for pods that cannot burst."""
PODS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
DEPLOYMENTS = {
    "apiGroups": ["apps"],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["deployments"],
}


def ids_in_a_range(namespace: str) -> list[Object]:
    """Build what OpenShift's `restricted-v2` demands: pods name no ids, or ids out of the range of their namespace."""
    ids = [f"object.spec.?securityContext.?{field}" for field in ("runAsUser", "runAsGroup", "fsGroup")]
    expression = " && ".join(
        f"{each}.orValue({FIRST_ID}) >= {FIRST_ID} && {each}.orValue({FIRST_ID}) <= {LAST_ID}" for each in ids
    )
    validation = {"expression": expression, "message": OUT_OF_RANGE}
    return _policy("Validating", namespace, PODS, {"validations": [validation]}, {"validationActions": ["Deny"]})


def resources_as_autopilot_leaves_them(namespace: str) -> list[Object]:
    """Build what GKE Autopilot does: it raises requests to its minima, and makes limits equal to them."""
    raised = [
        {
            "name": name,
            "expression": f"quantity(variables.asked['{name}']).isLessThan(quantity('{least}'))"
            f" ? '{least}' : variables.asked['{name}']",
        }
        for name, least in (("cpu", LEAST_CPU), ("memory", LEAST_MEMORY))
    ]
    asked = {"name": "asked", "expression": "object.spec.template.spec.containers[0].resources.requests"}
    amounts = "{'cpu': variables.cpu, 'memory': variables.memory}"
    path = "/spec/template/spec/containers/0/resources"
    patch = _patch(
        f'JSONPatch{{op: "replace", path: "{path}/requests", value: {amounts}}}',
        f'JSONPatch{{op: "add", path: "{path}/limits", value: {amounts}}}',
    )
    return _policy("Mutating", namespace, DEPLOYMENTS, {"variables": [asked, *raised], **patch})


def sidecars(namespace: str) -> list[Object]:
    """Build an injector that heeds Istio's label: it adds a container to each pod that does not opt out."""
    condition = "object.metadata.?labels[?'sidecar.istio.io/inject'].orValue('true') != 'false'"
    value = f"{{'name': '{SIDECAR}', 'image': 'mesh'}}"
    patch = _patch(f'JSONPatch{{op: "add", path: "/spec/containers/-", value: {value}}}')
    conditions = [{"name": "does-not-opt-out", "expression": condition}]
    return _policy("Mutating", namespace, PODS, {"matchConditions": conditions, **patch})


def _patch(*operations: str) -> Object:
    expression = f"[{', '.join(operations)}]"
    return {
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }


def _policy(sort: str, namespace: str, rule: Object, spec: Object, binding: Object | None = None) -> list[Object]:
    """Build a policy about objects of one namespace, and its binding; both have the name of the namespace."""
    api = "admissionregistration.k8s.io/v1"
    metadata = {"name": namespace}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    matched = {"namespaceSelector": selector, "resourceRules": [rule]}
    return [
        {
            "apiVersion": api,
            "kind": f"{sort}AdmissionPolicy",
            "metadata": metadata,
            "spec": {"failurePolicy": "Fail", "matchConstraints": matched, **spec},
        },
        {
            "apiVersion": api,
            "kind": f"{sort}AdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": namespace, **(binding or {})},
        },
    ]
