"""The AdmissionReviews that the benchmark posts, in the form in which an API server writes them. Pure."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import jsonpatch
import orjson

from shared.consumers.targets import Target
from webhook.admission import consumers
from webhook.admission.review import AdmissionRequest, Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.objects.resources import Object

PATH: Final = "/mutate/consumers"
NAMESPACE: Final = "team"
NAME: Final = "search-0000"
"""The MCPServer's name; the client changes its digits from request to request."""
STORAGE: Final[Object] = {
    "apiVersion": "toolhive.stacklok.dev/v1alpha1",
    "kind": "SessionStorage",
    "metadata": {"namespace": NAMESPACE, "name": "sessions"},
    "spec": {"size": "medium"},
}
STORAGES: Final = {(NAMESPACE, "sessions"): STORAGE}
SIZES_KB: Final = (2, 10, 60)
EXPECTED: Final = {"create": "patched", "update": "allowed", "refused": "denied"}
"""The verdict that every server must reach on each kind of case."""

_MANY: Final = 16
"""A server with at least this many environment variables also has a pod template and kubectl's annotation.

Both make the review longer at one stroke.
"""
_LEAST_BYTES: Final = 40
_MOST_BYTES: Final = 400
"""One more environment variable makes a review longer by `_LEAST_BYTES` to `_MOST_BYTES`.

It appears once or four times in the review, with or without the escapes that an annotation needs.
"""
_UID: Final = "0df28fbd-5f5f-11e8-bc74-36e6bb280816"
_GROUP: Final = "toolhive.stacklok.dev"


@dataclass(frozen=True)
class Case:
    """One AdmissionReview.

    Attributes:
        kind: A key of `EXPECTED`.
        size_kb: Intended length of the body, in thousands of bytes.
        body: The AdmissionReview as JSON.
    """

    kind: str
    size_kb: int
    body: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The case's name in file names and messages."""
        return f"{self.kind}-{self.size_kb}kb"

    @property
    def expected(self) -> str:
        """The verdict that every server must reach: `patched`, `allowed` or `denied`."""
        return EXPECTED[self.kind]

    @property
    def object(self) -> Object:
        """The MCPServer under review."""
        found: Object = orjson.loads(self.body)["request"]["object"]
        return found


def cases() -> Iterator[Case]:
    """Yield a case of each kind in each size."""
    for size_kb in SIZES_KB:
        for kind, review in _REVIEWS.items():
            yield Case(kind, size_kb, _filled(review, size_kb * 1000))


def server(entries: int, many: int = _MANY) -> Object:
    """Build an MCPServer with `entries` environment variables, as `kubectl apply` sends it.

    From `many` variables on, half of the object is the annotation in which kubectl keeps the last applied
    configuration, as in real objects.
    """
    spec: Object = {
        "image": "ghcr.io/example/search-mcp:1.4.2",
        "transport": "streamable-http",
        "proxyPort": 8080,
        "sessionStorageRef": "sessions",
        "env": [
            {"name": f"SETTING_{index:03}", "value": f"value-{index * 7919 % 10007:05}"} for index in range(entries)
        ],
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    metadata: Object = {"name": NAME, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "search"}}
    if entries >= many:
        mounts = [{"name": f"data-{index}", "mountPath": f"/data/{index}"} for index in range(entries // 8)]
        volumes = [{"name": f"data-{index}", "configMap": {"name": f"data-{index}"}} for index in range(entries // 8)]
        spec["podTemplateSpec"] = {
            "spec": {"containers": [{"name": "mcp", "volumeMounts": mounts}], "volumes": volumes}
        }
        applied = {"apiVersion": f"{_GROUP}/v1beta1", "kind": "MCPServer", "metadata": dict(metadata), "spec": spec}
        annotation = "kubectl.kubernetes.io/last-applied-configuration"
        metadata["annotations"] = {annotation: json.dumps(applied, separators=(",", ":")) + "\n"}
    managed: Object = {"f:metadata": {"f:labels": {}}, "f:spec": {f"f:{key}": {} for key in spec}}
    metadata["managedFields"] = [
        {
            "apiVersion": f"{_GROUP}/v1beta1",
            "fieldsType": "FieldsV1",
            "fieldsV1": managed,
            "manager": "kubectl-client-side-apply",
            "operation": "Update",
            "time": "2026-11-24T09:00:00Z",
        }
    ]
    return {"apiVersion": f"{_GROUP}/v1beta1", "kind": "MCPServer", "metadata": metadata, "spec": spec}


def _create(entries: int) -> Object:
    return _review("CREATE", server(entries), None)


def _refused(entries: int) -> Object:
    """The user's own `sessionStorage` contradicts the reference."""
    refused = server(entries)
    refused["spec"]["sessionStorage"] = {"provider": "redis", "address": "redis.elsewhere.svc:6379", "db": 3}
    return _review("CREATE", refused, None)


def _update(entries: int) -> Object:
    """A connected server gets another image: the webhook must check every field, and has nothing to patch."""
    old = server(entries, many=5 * _MANY)
    write = consumers.ConsumerWrite.of(AdmissionRequest(_UID, "CREATE", NAMESPACE, "", old, None))
    decision = consumers.decide(write, STORAGES, Target.ALL)
    assert isinstance(decision, Patch)
    old = jsonpatch.apply_patch(old, json.dumps(decision.operations))
    new = copy.deepcopy(old)
    new["spec"]["image"] = "ghcr.io/example/search-mcp:1.4.3"
    return _review("UPDATE", new, old)


_REVIEWS: Final[dict[str, Callable[[int], Object]]] = {"create": _create, "update": _update, "refused": _refused}


def _filled(review: Callable[[int], Object], size: int) -> bytes:
    """Write the longest review of at most `size` bytes; without any variable, a review may still be longer."""
    entries = size // _LEAST_BYTES
    while len(body := orjson.dumps(review(entries))) > size and entries > 0:
        # Big steps: one variable at a time would mean hundreds of reviews.
        entries -= max(1, (len(body) - size) // _MOST_BYTES)
    return body


def _review(operation: str, new: Object, old: Object | None) -> Object:
    kind = {"group": _GROUP, "version": "v1beta1", "kind": "MCPServer"}
    resource = {"group": _GROUP, "version": "v1beta1", "resource": "mcpservers"}
    request: dict[str, Any] = {
        "uid": _UID,
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": NAME,
        "namespace": NAMESPACE,
        "operation": operation,
        "userInfo": {"username": "kubernetes-admin", "groups": ["kubeadm:cluster-admins", "system:authenticated"]},
        "object": new,
        "oldObject": old,
        "dryRun": False,
        "options": {"kind": f"{operation.capitalize()}Options", "apiVersion": "meta.k8s.io/v1"},
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
