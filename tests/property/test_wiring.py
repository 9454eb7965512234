"""Whatever an MCPServer holds already, wiring it once is enough, and unwiring it gives it back."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st

from shared import wiring
from shared.names import ANNOTATION_REVISION, ANNOTATION_STORAGE
from shared.reference import StorageReference
from shared.store import Store, store_of
from shared.target import Target
from webhook import consumers
from webhook.review import AdmissionRequest, Allow, Decision, Deny, Patch

if TYPE_CHECKING:
    from shared.resources import Object

SECRET = "store-connection"
STAMP = "revision@2026-11-23T12:00:00Z"
EXTERNAL = {"metadata": {"name": "store", "namespace": "default"}, "spec": {"external": {"url": "redis://there"}}}


def optional(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    """Objects in which each member is absent, null or as given."""
    return st.fixed_dictionaries({}, optional={key: st.none() | value for key, value in members.items()})


words = st.text(alphabet="ab~/.é\u2028-", min_size=1, max_size=4)
labels = st.dictionaries(words, words, min_size=1, max_size=2)
env_from = st.lists(
    st.one_of(
        st.just({"secretRef": {"name": SECRET}}),
        st.just({"secretRef": {"name": SECRET}, "prefix": "X_"}),
        st.just({"secretRef": {"name": SECRET, "optional": True}}),
        st.builds(lambda name: {"configMapRef": {"name": name}}, words),
        st.none(),
    ),
    max_size=3,
)
containers = st.lists(
    st.builds(
        lambda name, rest: {"name": name, **rest},
        st.sampled_from(["mcp", "sidecar", "mcp~1"]),
        optional(envFrom=env_from, image=words, env=st.just([{"name": "REDIS_URL", "value": "mine"}])),
    )
    | st.none()
    | words,
    max_size=3,
)
template = optional(
    metadata=optional(labels=labels, annotations=labels),
    spec=optional(containers=containers, nodeSelector=labels),
)
overrides = optional(
    proxyDeployment=optional(
        podTemplateMetadataOverrides=optional(labels=labels, annotations=labels), env=st.lists(labels, max_size=1)
    )
)
equal_session_storage = optional(
    provider=st.just("redis"), address=st.just("store-valkey.default.svc:6379"), db=st.just(0)
)
specs = optional(
    image=words, podTemplateSpec=template, resourceOverrides=overrides, sessionStorage=equal_session_storage
)


@st.composite
def servers(draw: st.DrawFn) -> Object:
    spec = draw(specs)
    metadata: Object = {"name": "server", "namespace": "default"}
    annotations = draw(labels | st.none())
    if draw(st.booleans()):
        spec["sessionStorageRef"] = draw(st.sampled_from(["store", {"name": "store"}]))
    else:
        annotations = {**(annotations or {}), ANNOTATION_STORAGE: "store"}
    if draw(st.booleans()):
        annotations = {**(annotations or {}), ANNOTATION_REVISION: STAMP}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": "MCPServer", "metadata": metadata, "spec": spec}


stores = st.sampled_from([store_of(StorageReference("default", "store"), storage) for storage in (None, EXTERNAL)])
storages = st.sampled_from([{}, {("default", "store"): EXTERNAL}])


def decide(consumer: Object, known: Any, old: Object | None = None) -> Decision:
    operation = "CREATE" if old is None else "UPDATE"
    return consumers.decide(AdmissionRequest("1", operation, "default", "", consumer, old), known, Target.ALL)


def patched(consumer: Object, decision: Decision) -> Object:
    assert not isinstance(decision, Deny), decision.problems
    operations = decision.operations if isinstance(decision, Patch) else []
    result: Object = jsonpatch.apply_patch(consumer, json.dumps(operations))
    return result


def without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_nulls(value) for key, value in node.items() if value is not None}
    return [without_nulls(value) for value in node] if isinstance(node, list) else node


@given(servers(), storages)
def test_a_wired_object_is_left_alone(server: Object, known: Any) -> None:
    once = patched(server, decide(server, known))
    assert isinstance(decide(once, known), Allow)
    assert isinstance(decide(once, known, old=server), Allow)


@given(servers(), storages)
def test_the_patch_makes_what_wiring_says(server: Object, known: Any) -> None:
    reference = wiring.reference_of(server)
    assert reference is not None
    wired = wiring.wire(server, reference, store_of(reference, known.get(reference.key)))
    assert without_nulls(patched(server, decide(server, known))) == without_nulls(wired)


@given(servers(), stores)
def test_unwiring_gives_back_what_was_there(server: Object, store: Store) -> None:
    before = copy.deepcopy(server)
    wired = wiring.wire(server, StorageReference("default", "store"), store)
    assert without_nulls(wiring.unwire(wired)) == without_nulls(unstamped(server))
    assert server == before


def unstamped(server: Object) -> Object:
    """The same without the reconciler's own annotation, which goes with the wiring."""
    metadata = dict(server["metadata"])
    annotations = {key: value for key, value in metadata.pop("annotations", {}).items() if key != ANNOTATION_REVISION}
    return {**server, "metadata": metadata | ({"annotations": annotations} if annotations else {})}


@given(servers())
def test_moving_to_another_storage_is_like_having_been_there_always(server: Object) -> None:
    server["spec"].pop("sessionStorage", None)
    first, second = StorageReference("default", "first"), StorageReference("other", "second")
    to_first, to_second = store_of(first, None), store_of(second, None)
    moved = wiring.wire(wiring.wire(server, first, to_first), second, to_second)
    assert without_nulls(moved) == without_nulls(wiring.wire(server, second, to_second))


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "spec", "labels", "containers", "envFrom", "secretRef", "a/b~"]), inner
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["podTemplateSpec", "resourceOverrides", "sessionStorage", "sessionStorageRef", "env"]),
        anything,
    )
    | anything,
    st.dictionaries(
        st.sampled_from([ANNOTATION_STORAGE, ANNOTATION_REVISION, "toolhive.stacklok.dev/session-storage-wired"]),
        anything | st.builds(json.dumps, anything) | words,
    )
    | anything,
)
def test_nothing_makes_it_stumble(spec: Any, annotations: Any) -> None:
    server = {"kind": "MCPServer", "metadata": {"name": "server", "annotations": annotations}, "spec": spec}
    decision = decide(server, {})
    if not isinstance(decision, Deny):
        assert isinstance(decide(patched(server, decision), {}), Allow)
