"""What caches leave out of objects, no decision and no write misses."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.actions.kubernetes import Replace
from reconciler.controllers.toolhive import disowning
from reconciler.plan.drift import deviations, differences, managers_of, merged, repair
from reconciler.state import kept_objects
from reconciler.state.kept_objects import LAST_APPLIED
from shared import names
from shared.objects.resources import STATEFUL_SETS, Object, last_written

STEPS = ("metadata", "labels", "spec", "template", "containers", "valkey", "image")
PATHS = st.lists(st.sampled_from(STEPS), min_size=1, max_size=4)
FIELDS: st.SearchStrategy[Object] = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(
        st.sampled_from(["f:status", 'k:{"name":"valkey"}', *(f"f:{step}" for step in STEPS)]), inner, max_size=3
    ),
    max_leaves=8,
)
MANAGERS = st.sampled_from([names.FIELD_MANAGER, names.FIELD_MANAGER_STATUS, names.FIELD_MANAGER_CRD, "kubectl", ""])
TIMES = st.sampled_from(["2026-11-23T10:00:00Z", "2026-11-23T10:00:09Z"])
ENTRIES = st.fixed_dictionaries(
    {"manager": MANAGERS, "operation": st.sampled_from(["Apply", "Update"])},
    optional={"time": TIMES, "fieldsV1": FIELDS, "subresource": st.sampled_from(["", "status"])},
)
MANAGED = st.one_of(st.none(), st.lists(ENTRIES, max_size=4))
LABELS = st.dictionaries(st.sampled_from(["ours", "theirs", LAST_APPLIED]), st.sampled_from(["", "a", "b"]), max_size=3)
SPECS = st.recursive(
    st.one_of(st.integers(0, 2), st.text("xy", max_size=1)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from([*STEPS, "args", "env"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def objects(draw: st.DrawFn) -> Object:
    metadata: Object = {"namespace": "team", "name": "mine", "creationTimestamp": "2026-11-23T10:00:03Z"}
    for field, values in (("labels", LABELS), ("annotations", LABELS), ("managedFields", MANAGED)):
        if draw(st.booleans()):
            metadata[field] = draw(values)
    spec = draw(st.dictionaries(st.sampled_from([*STEPS, "args"]), SPECS, max_size=3))
    return {"metadata": metadata, "spec": spec, "status": {"replicas": draw(st.integers(0, 1))}}


def without_managers(obj: Object) -> Object:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}


@given(objects(), PATHS)
def test_a_kept_child_has_the_same_managers_and_time_as_the_whole_one(obj: Object, path: list[str]) -> None:
    kept, before = kept_objects.child(obj), copy.deepcopy(obj)
    assert managers_of(kept, path) == managers_of(obj, path)
    assert last_written(kept) == last_written(obj)
    assert without_managers(kept) == without_managers(obj)
    assert obj == before, "handlers may get the same object"


@given(objects(), objects())
def test_a_kept_child_is_mended_as_the_whole_one_would_be(desired: Object, present: Object) -> None:
    desired, kept = without_managers(desired), kept_objects.child(present)
    assert list(deviations(desired, kept)) == list(deviations(desired, present))
    assert list(differences(desired, kept)) == list(differences(desired, present))
    assert without_managers(merged(desired, kept)) == without_managers(merged(desired, present))
    found, expected = (repair(STATEFUL_SETS, desired, each) for each in (kept, present))
    assert type(found) is type(expected)
    if isinstance(found, Replace):
        assert without_managers(found.obj) == without_managers(expected.obj)


@given(objects())
def test_a_kept_child_takes_no_more_when_it_is_kept_again(obj: Object) -> None:
    once = kept_objects.child(obj)
    assert kept_objects.child(once) == once


@given(objects())
def test_of_a_crd_the_same_managers_are_found_at_the_same_places(obj: Object) -> None:
    crd: Any = {**obj, "metadata": {**obj["metadata"], "resourceVersion": "7"}}
    assert disowning(kept_objects.definition(crd)) == disowning(crd)


@given(objects())
def test_of_pods_and_of_what_users_wrote_only_managers_and_a_copy_of_the_object_are_left_out(obj: Object) -> None:
    assert kept_objects.pod(obj) == without_managers(obj)
    kept, whole = kept_objects.declared(obj), without_managers(obj)
    told = whole["metadata"].get("annotations") or {}
    # Whoever writes annotations must know that there are some.
    assert (kept["metadata"].get("annotations") or {}).keys() == told.keys()
    emptied = {name: "" if name == LAST_APPLIED else value for name, value in told.items()}
    assert (kept["metadata"].get("annotations") or {}) == emptied
    for each in (kept, whole):
        each["metadata"].pop("annotations", None)
    assert kept == whole
