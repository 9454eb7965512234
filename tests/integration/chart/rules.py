"""Rules of platforms, as admission policies of a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.objects.resources import Object

FIRST_ID, LAST_ID = 1000650000, 1000659999
"""The range of user and group ids that OpenShift might give to a namespace."""
OUT_OF_RANGE = "an id is not in the range of the namespace"
ISTIO, LINKERD = "istio-proxy", "linkerd-proxy"
"""Names of the sidecars of two meshes."""
LEAST_CPU, LEAST_CPU_APART, LEAST_MEMORY = "250m", "500m", "512Mi"
"""GKE Autopilot's minima for pods that cannot burst; those that keep apart from others get more CPU."""
ADJUSTED = "autopilot.gke.io/resource-adjustment"
OPENSHIFT_CRD: Final[Object] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "securitycontextconstraints.security.openshift.io"},
    "spec": {
        "group": "security.openshift.io",
        "scope": "Cluster",
        "names": {"kind": "SecurityContextConstraints", "plural": "securitycontextconstraints"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}
"""By this, the chart and the reconciler know OpenShift."""
_PODS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
_WORKLOADS = {
    "apiGroups": ["apps"],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["deployments", "statefulsets"],
}


def ids_in_a_range(namespace: str) -> list[Object]:
    """Build what OpenShift's `restricted-v2` does: pods name no ids, and get one, or name ids of their namespace."""
    pod = "object.spec.?securityContext"
    ids = [f"{pod}.?{field}" for field in ("runAsUser", "runAsGroup", "fsGroup")]
    expression = " && ".join(_in_range(each) for each in ids)
    container = _in_range("each.?securityContext.?runAsUser")
    validations = [
        {"expression": expression, "message": OUT_OF_RANGE},
        {"expression": f"object.spec.containers.all(each, {container})", "message": OUT_OF_RANGE},
    ]
    names_none = " && ".join(f"!{each}.hasValue()" for each in ids)
    filled_in = _patch(
        f'JSONPatch{{op: "add", path: "/spec/securityContext/fsGroup", value: {FIRST_ID}}}',
        f'JSONPatch{{op: "add", path: "/spec/containers/0/securityContext/runAsUser", value: {FIRST_ID}}}',
    )
    conditions = [{"name": "names-no-ids", "expression": names_none}]
    return [
        *_policy("Validating", namespace, _PODS, {"validations": validations}),
        *_policy("Mutating", namespace, _PODS, {"matchConditions": conditions, **filled_in}),
    ]


def resources_as_autopilot_leaves_them(namespace: str) -> list[Object]:
    """Build what GKE Autopilot does to workloads and to pods.

    It raises requests to its minima, makes limits equal to them, adds scratch space, and notes that on a workload.
    """
    noted = f"JSONPatch{{op: 'add', path: '/metadata/annotations', value: {{'{ADJUSTED}': 'yes'}}}}"
    has_none = f"!object.metadata.?annotations.hasValue() ? [{noted}] : [JSONPatch{{"
    note = f"({has_none}op: 'add', path: '/metadata/annotations/{ADJUSTED.replace('/', '~1')}', value: 'yes'}}])"
    return [
        *_policy("Mutating", namespace, _WORKLOADS, _raised("spec.template.spec", note), "workloads"),
        *_policy("Mutating", namespace, _PODS, _raised("spec"), "pods"),
    ]


def sidecars(namespace: str) -> list[Object]:
    """Build the injectors of Istio and Linkerd: each adds a container to every pod that does not opt out."""
    labels, annotations = "object.metadata.?labels", "object.metadata.?annotations"
    return [
        *_injector(namespace, ISTIO, f"{labels}[?'sidecar.istio.io/inject'].orValue('true') != 'false'"),
        *_injector(namespace, LINKERD, f"{annotations}[?'linkerd.io/inject'].orValue('enabled') != 'disabled'"),
    ]


def _in_range(optional: str) -> str:
    number = f"{optional}.orValue({FIRST_ID})"
    return f"{number} >= {FIRST_ID} && {number} <= {LAST_ID}"


def _raised(pod: str, *further: str) -> Object:
    """Raise the resources of the first container of a pod's spec, which is at this path."""
    apart = f"object.{pod}.?affinity.?podAntiAffinity.hasValue()"
    variables = [
        {"name": "asked", "expression": f"object.{pod}.containers[0].resources.requests"},
        {"name": "least", "expression": f"{apart} ? '{LEAST_CPU_APART}' : '{LEAST_CPU}'"},
        {"name": "cpu", "expression": _at_least("variables.asked['cpu']", "variables.least")},
        {"name": "memory", "expression": _at_least("variables.asked['memory']", f"'{LEAST_MEMORY}'")},
    ]
    amounts = "{'cpu': variables.cpu, 'memory': variables.memory, 'ephemeral-storage': dyn('1Gi')}"
    path = f"/{pod.replace('.', '/')}/containers/0/resources"
    patch = _patch(
        f'JSONPatch{{op: "replace", path: "{path}/requests", value: {amounts}}}',
        f'JSONPatch{{op: "add", path: "{path}/limits", value: {amounts}}}',
        further=further,
    )
    return {"variables": variables, **patch}


def _at_least(asked: str, least: str) -> str:
    return f"quantity({asked}).isLessThan(quantity({least})) ? {least} : {asked}"


def _injector(namespace: str, sidecar: str, condition: str) -> list[Object]:
    value = f"{{'name': '{sidecar}', 'image': 'mesh'}}"
    patch = _patch(f'JSONPatch{{op: "add", path: "/spec/containers/-", value: {value}}}')
    conditions = [{"name": "does-not-opt-out", "expression": condition}]
    return _policy("Mutating", namespace, _PODS, {"matchConditions": conditions, **patch}, sidecar)


def _patch(*operations: str, further: Iterable[str] = ()) -> Object:
    """Build a mutation out of operations, and of expressions for further lists of them."""
    expression = " + ".join([f"[{', '.join(operations)}]", *further])
    return {
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }


def _policy(sort: str, namespace: str, rule: Object, spec: Object, title: str = "") -> list[Object]:
    """Build a policy about objects of one namespace, and its binding."""
    api = "admissionregistration.k8s.io/v1"
    name = "-".join(filter(None, (namespace, title)))
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    matched = {"namespaceSelector": selector, "resourceRules": [rule]}
    binding: Object = {"validationActions": ["Deny"]} if sort == "Validating" else {}
    return [
        {
            "apiVersion": api,
            "kind": f"{sort}AdmissionPolicy",
            "metadata": {"name": name},
            "spec": {"failurePolicy": "Fail", "matchConstraints": matched, **spec},
        },
        {
            "apiVersion": api,
            "kind": f"{sort}AdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, **binding},
        },
    ]
