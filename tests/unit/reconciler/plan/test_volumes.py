"""Volumes that exist inherit what their storage hands down, and nothing else of them is written."""

from __future__ import annotations

from typing import Any

from reconciler.actions.kubernetes import Write
from reconciler.manifests.storage import Inherited, Storage
from reconciler.plan.repairs import Mending
from reconciler.plan.volumes import inheriting_claims
from shared import names
from shared.objects.resources import VOLUME_CLAIMS, Object
from tests.support.storages import NOW, STORAGE, stored

HEIR = Storage("mine", "team", "uid-1", Inherited({"team": "a"}, {"note": "x"}))


def claim(storage: Storage, **labels: str) -> Object:
    metadata: Object = {**storage.inherited_by("data-mine-valkey-0-0"), "namespace": "team"}
    own = {"labels": metadata["labels"] | labels, "ownerReferences": [storage.reference], "finalizers": ["kubernetes"]}
    return stored({"metadata": metadata | own, "spec": {"volumeName": "pv-7"}, "status": {"phase": "Bound"}})


def written(present: Object, storage: Storage) -> list[Any]:
    return [found.step for found in inheriting_claims([present], storage, Mending({}, NOW))]


def test_a_claim_that_has_what_it_is_to_inherit_is_left_alone() -> None:
    assert written(claim(STORAGE), STORAGE) == []
    assert written(claim(HEIR), HEIR) == []
    assert written(claim(HEIR, others="y"), HEIR) == []


def test_a_claim_inherits_and_keeps_all_else() -> None:
    before = claim(STORAGE, others="y")
    (step,) = written(before, HEIR)
    assert isinstance(step, Write)
    assert step.resource is VOLUME_CLAIMS
    assert {key: value for key, value in step.obj.items() if key != "metadata"} == {
        key: value for key, value in before.items() if key != "metadata"
    }
    metadata = step.obj["metadata"]
    assert metadata["labels"] == before["metadata"]["labels"] | {"team": "a"}
    assert metadata["annotations"].keys() == {"note", names.ANNOTATION_INHERITED}
    kept = ("ownerReferences", "finalizers", "uid", "resourceVersion")
    assert [metadata[field] for field in kept] == [before["metadata"][field] for field in kept]


def test_a_claim_loses_what_is_handed_down_no_more() -> None:
    (step,) = written(claim(HEIR, others="y"), STORAGE)
    assert step.obj["metadata"]["labels"] == claim(STORAGE, others="y")["metadata"]["labels"]
    assert "annotations" not in step.obj["metadata"]
