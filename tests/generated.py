"""Consumers of every kind, made up by hypothesis: whatever a user may have put there, and a user's next change to it.

All of it is sound by ToolHive's schemas, so that a real API server takes it; `podTemplateSpec` has none, and holds
what people only do by mistake.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from shared.names import ANNOTATION_STORAGE, ANNOTATION_TARGETS, ANNOTATION_WIRED
from shared.reference import StorageReference
from shared.target import Target

if TYPE_CHECKING:
    from shared.resources import Key, Object

LEAST: dict[str, Object] = {
    "MCPServer": {"image": "mcp:latest"},
    "MCPRemoteProxy": {"remoteUrl": "https://there.example/mcp"},
    "VirtualMCPServer": {"groupRef": {"name": "group"}, "incomingAuth": {"type": "anonymous"}},
}
"""What ToolHive's schemas demand of each kind."""
SHARED = StorageReference("far", "shared")
"""A storage of another namespace, shared with all."""


def storages(namespace: str) -> dict[Key, Object]:
    """Every storage that exists; `store` and `other` do not, or not yet."""
    shared = {"metadata": {"name": SHARED.name, "namespace": SHARED.namespace}, "spec": {"allowedNamespaces": ["*"]}}
    external = {"metadata": {"name": "theirs", "namespace": namespace}, "spec": {"external": {"url": "redis://there"}}}
    return {SHARED.key: shared, (namespace, "theirs"): external}


def optional(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    """Objects in which each member is absent, null or as given."""
    return st.fixed_dictionaries({}, optional={key: st.none() | value for key, value in members.items()})


words = st.text(alphabet="ab~/.é\u2028-", min_size=1, max_size=4)
pairs = st.dictionaries(words, words, min_size=1, max_size=2)
labels = st.dictionaries(st.sampled_from(["own", "own.example/a_b", "toolhive.stacklok.dev/own"]), words, max_size=2)
sources = st.sampled_from(["store-connection", "theirs-connection", "far.shared-connection", "own"])
env_from = st.lists(
    st.one_of(
        st.builds(lambda name, rest: {"secretRef": {"name": name, **rest}}, sources, optional(optional=st.booleans())),
        st.builds(lambda name, prefix: {"secretRef": {"name": name}, "prefix": prefix}, sources, words),
        st.builds(lambda name: {"configMapRef": {"name": name}}, words),
        st.none(),
    ),
    max_size=3,
)
containers = st.lists(
    st.builds(
        lambda name, rest: {"name": name, **rest},
        st.sampled_from(["mcp", "vmcp", "toolhive", "sidecar", "mcp~1"]),
        optional(envFrom=env_from, image=words, env=st.just([{"name": "REDIS_URL", "value": "mine"}])),
    )
    | st.none()
    | words,
    max_size=3,
)
template = optional(
    metadata=optional(labels=pairs, annotations=pairs), spec=optional(containers=containers, nodeSelector=pairs)
)
overrides = optional(
    proxyDeployment=optional(
        podTemplateMetadataOverrides=optional(labels=pairs),
        env=st.lists(st.builds(lambda name: {"name": name, "value": "x"}, words), max_size=1),
    )
)
targets = st.none() | st.sampled_from(list(Target))
made_up_records = st.sampled_from(
    [
        "{}",
        "not JSON",
        "null",
        json.dumps({"asked": "2026-01-01T00:00:00Z"}),
        json.dumps(
            {
                "by": "field",
                "for": "none",
                "granted": True,
                "made": ["/spec/podTemplateSpec"],
                "put": {"/spec/podTemplateSpec/metadata/labels/a~1": "a"},
                "storage": "far/secret",
            }
        ),
    ]
)


def references(namespace: str) -> st.SearchStrategy[StorageReference]:
    return st.sampled_from([*(StorageReference(namespace, name) for name in ("store", "theirs", "other")), SHARED])


@st.composite
def consumers(draw: st.DrawFn, namespace: str = "default", records: st.SearchStrategy[str | None] | None = None) -> Any:
    """Draw a consumer that refers to a storage."""
    kind = draw(st.sampled_from(sorted(LEAST)))
    reference = draw(references(namespace))
    spec = {**copy.deepcopy(LEAST[kind]), **draw(optional(podTemplateSpec=template))}
    if kind != "VirtualMCPServer":
        spec |= draw(optional(resourceOverrides=overrides))
    if draw(st.booleans()):
        spec["sessionStorage"] = equal_settings(reference) | draw(st.sampled_from([{}, {"db": 0}]))
    annotations = draw(labels)
    if (target := draw(targets)) is not None:
        annotations[ANNOTATION_TARGETS] = target.value
    if records is not None and (record := draw(records)) is not None:
        annotations[ANNOTATION_WIRED] = record
    refer(draw, spec, annotations, reference, namespace)
    metadata = {"name": "srv", "namespace": namespace} | ({"annotations": annotations} if annotations else {})
    return {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}


def equal_settings(reference: StorageReference) -> Object:
    """What a user may have written who knew what we would write."""
    return {"provider": "redis", "address": f"{reference.name}-valkey.{reference.namespace}.svc:6379"}


def refer(draw: st.DrawFn, spec: Object, annotations: Object, reference: StorageReference, namespace: str) -> None:
    """Name a storage by field, by annotation or by both, as shortly as its namespace allows."""
    is_near = reference.namespace == namespace
    full = {"name": reference.name, "namespace": reference.namespace}
    by_field = [full, *([reference.name, {"name": reference.name, "namespace": None}] if is_near else [])]
    by_annotation = [str(reference), *([reference.name] if is_near else [])]
    ways = draw(st.sampled_from(["field", "annotation", "both"]))
    if ways != "annotation":
        spec["sessionStorageRef"] = draw(st.sampled_from(by_field))
    if ways != "field":
        annotations[ANNOTATION_STORAGE] = draw(st.sampled_from(by_annotation))


@st.composite
def changed(draw: st.DrawFn, stored: Any, namespace: str = "default") -> Any:
    """Draw what a user makes of a stored consumer: another reference, target or record; more of their own, or less."""
    new = copy.deepcopy(stored)
    spec, annotations = new["spec"], new["metadata"].setdefault("annotations", {})
    match draw(st.sampled_from(["move", "leave", "target", "record", "add", "strip"])):
        case "move":
            leave(spec, annotations)
            refer(draw, spec, annotations, draw(references(namespace)), namespace)
        case "leave":
            leave(spec, annotations)
        case "target":
            annotations[ANNOTATION_TARGETS] = draw(st.sampled_from(list(Target))).value
        case "record":
            annotations[ANNOTATION_WIRED] = draw(made_up_records)
        case "add":
            spec["podTemplateSpec"] = draw(template)
        case _:
            annotations.pop(ANNOTATION_WIRED, None)
            spec.pop("sessionStorage", None)
    return new


def leave(spec: Object, annotations: Object) -> None:
    """Take every reference out."""
    spec.pop("sessionStorageRef", None)
    annotations.pop(ANNOTATION_STORAGE, None)
