"""Whatever a consumer holds, one injection suffices, and its removal restores what was there."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st

from shared.consumers import injection
from shared.consumers.auth_server import SERVERS
from shared.consumers.reference import StorageReference, stated_reference
from shared.consumers.storage_connection import connection_to
from shared.consumers.targets import Target
from shared.names import (
    ANNOTATION_AUTH_REVISION,
    ANNOTATION_INJECTION,
    ANNOTATION_REVISION,
    ANNOTATION_STORAGE,
    ANNOTATION_TARGETS,
)
from shared.objects.field_path import read
from tests.support.generated import (
    AUTH_SERVER,
    LEAST,
    NO_REFERENCE,
    Change,
    annotated,
    changes,
    consumers,
    every_kind,
    made_up_records,
    revisions,
    schema_refusals,
    storages,
    with_own_stores,
    words,
    written_references,
)
from webhook.admission import consumers as webhook
from webhook.admission.review import AdmissionRequest, Allow, Decision, Deny, Patch

if TYPE_CHECKING:
    from shared.objects.resources import Object

KNOWN = storages("default")
POLICY = Path(__file__).parents[2] / "deploy/chart/templates/webhook/policy.yaml"
targets = st.sampled_from(list(Target))


def decide(consumer: Object, old: Object | None = None, target: Target = Target.ALL) -> Decision:
    operation = "CREATE" if old is None else "UPDATE"
    request = AdmissionRequest("1", operation, "default", "", consumer, old)
    return webhook.decide(webhook.ConsumerWrite.of(request), KNOWN, target)


def patched(consumer: Object, decision: Decision) -> Object:
    assert not isinstance(decision, Deny), decision.problems
    operations = decision.operations if isinstance(decision, Patch) else []
    result: Object = jsonpatch.apply_patch(consumer, json.dumps(operations))
    return result


def without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_nulls(value) for key, value in node.items() if value is not None}
    return [without_nulls(value) for value in node] if isinstance(node, list) else node


def canonical(consumer: Object) -> Object:
    """Remove what the API server takes for absent: nulls, and an empty object of annotations."""
    same: Object = without_nulls(consumer)
    if not same["metadata"].get("annotations"):
        same["metadata"].pop("annotations", None)
    return same


def without_revision(consumer: Object) -> Object:
    """Return the consumer without the reconciler's annotation, which removal of the injection takes along."""
    return annotated(consumer, ANNOTATION_REVISION, None)


@given(consumers(records=st.none() | made_up_records), targets)
def test_a_connected_consumer_is_left_alone(consumer: Object, target: Target) -> None:
    once = patched(consumer, decide(consumer, target=target))
    assert isinstance(decide(once, target=target), Allow)
    assert isinstance(decide(once, old=consumer, target=target), Allow)


@given(consumers(), targets)
def test_the_patch_makes_the_desired_consumer(consumer: Object, target: Target) -> None:
    reference = stated_reference(consumer)
    assert reference is not None
    storage, context = KNOWN.get(reference.key), injection.InjectionContext(target)
    desired = injection.desired(consumer, reference, storage, context).consumer
    assert without_nulls(patched(consumer, decide(consumer, target=target))) == without_nulls(desired)


@given(consumers(), targets)
def test_removing_the_injection_restores_what_was_there(consumer: Object, target: Target) -> None:
    before = copy.deepcopy(consumer)
    injected = patched(consumer, decide(consumer, target=target))
    assert consumer == before
    assert canonical(injection.remove(injected)) == canonical(without_revision(consumer))


@given(consumers(), targets)
def test_removing_the_reference_restores_what_was_there(consumer: Object, target: Target) -> None:
    injected = patched(consumer, decide(consumer, target=target))
    asked = NO_REFERENCE.put(injected)
    left = patched(asked, decide(asked, old=injected, target=target))
    assert canonical(left) == canonical(NO_REFERENCE.put(without_revision(consumer)))
    assert isinstance(decide(left, old=injected), Allow)


@given(consumers(), revisions, revisions)
def test_a_changed_revision_gives_the_same_as_one_from_the_start(consumer: Object, first: str, second: str) -> None:
    before, after = (annotated(consumer, ANNOTATION_REVISION, revision) for revision in (first, second))
    injected = patched(before, decide(before))
    asked = annotated(injected, ANNOTATION_REVISION, second)
    changed = patched(asked, decide(asked, old=injected))
    assert without_nulls(changed) == without_nulls(patched(after, decide(after)))


@given(consumers(), changes())
def test_whatever_a_user_changes_afterwards_a_second_decision_changes_nothing(consumer: Object, change: Change) -> None:
    injected = patched(consumer, decide(consumer))
    asked = change(injected)
    decision = decide(asked, old=injected)
    if not isinstance(decision, Deny):
        new = patched(asked, decision)
        assert isinstance(decide(new, old=injected), Allow)
        assert isinstance(decide(new), Allow)


@st.composite
def written_anew(draw: st.DrawFn) -> tuple[Object, Object]:
    """Draw a connected consumer, and a manifest that somebody writes for it without looking at what is stored."""
    kind = draw(every_kind)
    stored = patched(before := draw(consumers(kinds=st.just(kind))), decide(before))
    manifest = draw(with_own_stores(kind))
    # By itself, a VirtualMCPServer's auth server may be in another store than the sessions.
    may_refer = kind == "VirtualMCPServer" and "sessionStorage" not in manifest["spec"]
    return stored, draw(written_references("default")).put(manifest) if may_refer and draw(st.booleans()) else manifest


@given(written_anew())
def test_a_manifest_gives_the_same_whatever_was_there_before(case: tuple[Object, Object]) -> None:
    stored, manifest = case
    first = patched(manifest, decide(manifest, old=stored))
    assert canonical(first)["spec"] == canonical(patched(manifest, decide(manifest)))["spec"]
    assert isinstance(decide(first, old=stored), Allow)
    assert canonical(patched(manifest, decide(manifest, old=first))) == canonical(first)


incomplete = st.sampled_from(
    [{"keyPrefix": "own:"}, {"provider": "redis", "keyPrefix": "own:"}, {"db": 0}, {"keyPrefix": "own:", "tls": None}]
)
unfinished = st.sampled_from(
    [{"redis": {"dialTimeout": "9s"}}, {"type": "redis", "redis": {"dialTimeout": "9s"}}, {"maxDCRClients": 5}]
)


@given(every_kind, incomplete, unfinished, changes())
def test_whatever_becomes_of_the_reference_the_schema_takes_what_is_left(
    kind: str, sessions: Object, storage: Object, change: Change
) -> None:
    spec = {**LEAST[kind], "sessionStorageRef": "store"}
    spec |= {} if kind == "MCPExternalAuthConfig" else {"sessionStorage": sessions}
    spec |= {SERVERS[kind][-1]: AUTH_SERVER | {"storage": storage}} if kind in SERVERS else {}
    metadata: Object = {"name": "srv", "namespace": "default"}
    asked = {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}
    stored = patched(asked, decide(asked))
    assert schema_refusals(stored) == []
    new = change(stored)
    decision = decide(new, old=stored)
    if not isinstance(decision, Deny):
        left = patched(new, decision)
        assert schema_refusals(without_nulls(left)) == []
        assert isinstance(decide(left, old=stored), Allow)
        assert isinstance(decide(left, old=left), Allow)


@given(consumers(), targets)
def test_other_targets_and_back_again_change_nothing(consumer: Object, target: Target) -> None:
    injected = patched(consumer, decide(consumer))
    asked = annotated(injected, ANNOTATION_TARGETS, target.value)
    there = patched(asked, decide(asked, old=injected))
    asked = annotated(there, ANNOTATION_TARGETS, injected["metadata"]["annotations"].get(ANNOTATION_TARGETS))
    back = patched(asked, decide(asked, old=there))
    assert without_nulls(back["spec"]) == without_nulls(injected["spec"])
    assert canonical(injection.remove(back)) == canonical(injection.remove(injected))


@given(consumers())
def test_a_move_to_another_storage_gives_the_same_as_starting_there(consumer: Object) -> None:
    consumer["spec"].pop("sessionStorage", None)
    if (server := SERVERS.get(consumer["kind"])) and (described := read(consumer, server)):
        described.pop("storage", None)
    first, second = StorageReference("default", "first"), StorageReference("other", "second")
    to_first, to_second = connection_to(first, None), connection_to(second, None)
    moved = injection.inject(injection.inject(consumer, first, to_first).consumer, second, to_second).consumer
    assert without_nulls(moved) == without_nulls(injection.inject(consumer, second, to_second).consumer)


@given(consumers(), targets)
def test_every_injection_record_has_the_form_that_the_policy_demands(consumer: Object, target: Target) -> None:
    (form,) = re.findall(r"matches\(r'(.*)'\)", POLICY.read_text())
    record = patched(consumer, decide(consumer, target=target))["metadata"]["annotations"][ANNOTATION_INJECTION]
    assert re.search(form, record)
    assert record.count('"granted"') == 1


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
    st.sampled_from(["MCPServer", "MCPRemoteProxy", "VirtualMCPServer", "MCPExternalAuthConfig", "Pod"]),
    st.dictionaries(
        st.sampled_from(
            [
                *("podTemplateSpec", "resourceOverrides", "sessionStorage", "sessionStorageRef", "env"),
                *("authServerConfig", "embeddedAuthServer"),
            ]
        ),
        anything,
    )
    | anything,
    st.dictionaries(
        st.sampled_from(
            [
                *(ANNOTATION_STORAGE, ANNOTATION_TARGETS, ANNOTATION_REVISION, ANNOTATION_INJECTION),
                ANNOTATION_AUTH_REVISION,
            ]
        ),
        revisions | anything | st.builds(json.dumps, anything) | words,
    )
    | anything,
)
def test_no_consumer_makes_the_decision_raise(kind: str, spec: Any, annotations: Any) -> None:
    consumer = {"kind": kind, "metadata": {"name": "srv", "annotations": annotations}, "spec": spec}
    decision = decide(consumer)
    if not isinstance(decision, Deny):
        assert isinstance(decide(patched(consumer, decision)), Allow)
