"""What an object has inherited goes when its storage hands it down no more; what others added stays."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.actions.kubernetes import Apply, Replace
from reconciler.manifests import services
from reconciler.manifests.storage import Inherited, Storage
from reconciler.plan.drift import differences, merged, repair, repair_if_unchanged
from shared import names
from shared.objects.resources import SERVICES, Object
from tests.support.storages import stored


def service(**inherited: dict[str, str]) -> Object:
    return services.headless_service(Storage("mine", "team", "uid-1", Inherited(**inherited)))


def edited(obj: Object, **metadata: Any) -> Object:
    """Return a stored object to which somebody has added labels or annotations."""
    found = stored(obj)
    added = {field: {**(found["metadata"].get(field) or {}), **values} for field, values in metadata.items()}
    return {**found, "metadata": found["metadata"] | added}


OLD = service(labels={"team": "a", "cost": "1"}, annotations={"note": "x"})


def test_an_object_that_has_what_it_is_to_inherit_is_right() -> None:
    assert list(differences(OLD, stored(OLD))) == []


@pytest.mark.parametrize("make", [repair, repair_if_unchanged])
def test_what_is_handed_down_no_more_goes_and_what_others_added_stays(make: Any) -> None:
    present = edited(OLD, labels={"others": "y"}, annotations={"theirs": "z"})
    new = service(labels={"team": "b"})
    assert {str(each) for each in differences(new, present)} == {
        "metadata.labels.team",
        "metadata.labels.cost",
        "metadata.annotations.note",
        f"metadata.annotations.{names.ANNOTATION_INHERITED}",
    }
    written = make(SERVICES, new, present).obj["metadata"]
    assert written["labels"] == new["metadata"]["labels"] | {"others": "y"}
    assert written["annotations"] == new["metadata"]["annotations"] | {"theirs": "z"}


def test_nothing_is_left_once_nothing_is_handed_down() -> None:
    written = merged(service(), stored(OLD))
    assert list(differences(service(), written)) == []
    assert written["metadata"]["labels"] == service()["metadata"]["labels"]
    assert not written["metadata"].get("annotations")


def test_an_apply_would_not_remove_it() -> None:
    """Whoever replaced the object once owns its fields too."""
    assert isinstance(repair(SERVICES, service(), stored(OLD)), Replace)
    assert isinstance(repair(SERVICES, service(labels={"a": "b"}), stored(service())), Apply)


def test_a_label_that_others_own_stays_if_it_was_never_inherited() -> None:
    assert list(differences(service(), edited(service(), labels={"team": "a"}))) == []


@pytest.mark.parametrize("record", ["{", "[]", "5", '{"labels":5}', '{"labels":[5,{}],"annotations":null}', "null"])
def test_a_record_that_somebody_spoilt_is_written_anew(record: str) -> None:
    new = service(labels={"team": "a"})
    spoilt = edited(new, annotations={names.ANNOTATION_INHERITED: record})
    assert [str(each) for each in differences(new, spoilt)] == [f"metadata.annotations.{names.ANNOTATION_INHERITED}"]


def test_nobody_can_have_the_products_own_labels_removed_by_a_record() -> None:
    record = f'{{"labels":["{names.LABEL_STORAGE}","app.kubernetes.io/name"]}}'
    forged = edited(service(), annotations={names.ANNOTATION_INHERITED: record})
    written = merged(service(), forged)
    assert written["metadata"]["labels"] == service()["metadata"]["labels"]


def test_nobody_can_have_what_the_reconciler_notes_on_an_object_removed_by_a_record() -> None:
    """Without its claim of a change of the primary, nothing would keep a former leader from changing it too."""
    claim, noted = {names.ANNOTATION_PRIMARY: '{"epoch":1}'}, {names.LABEL_INSTANCE: "1"}
    record = f'{{"annotations":["{names.ANNOTATION_PRIMARY}"],"labels":["{names.LABEL_INSTANCE}"]}}'
    forged = edited(service(), annotations={names.ANNOTATION_INHERITED: record, **claim}, labels=noted)
    assert [str(each) for each in differences(service(), forged)] == [
        f"metadata.annotations.{names.ANNOTATION_INHERITED}"
    ]
    for make in (repair, repair_if_unchanged):
        step: Any = make(SERVICES, service(), forged)
        assert step.obj["metadata"]["annotations"] == claim
        assert step.obj["metadata"]["labels"] == service()["metadata"]["labels"] | noted


def test_the_products_own_labels_win() -> None:
    labels = service(labels={"app.kubernetes.io/name": "other"})["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "valkey"
