"""Each folder is a case, named after what its consumer has: the patch that the webhook answers, and the outcome.

`make golden` rewrites patch.json and patched.yaml; read the difference before you commit it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest
import yaml

from shared.consumers.injection_record import InjectionRecord
from shared.consumers.targets import Target
from shared.objects.resources import key_of
from tests.support.kept import is_kept
from webhook.admission import consumers
from webhook.admission.review import AdmissionRequest, Allow, Patch

if TYPE_CHECKING:
    from shared.objects.resources import Object

HERE = Path(__file__).parent
CASES = sorted(path for path in HERE.iterdir() if path.is_dir() and path.name != "__pycache__")
INPUTS = {"consumer.yaml", "storage.yaml"}
OUTPUTS = {"patch.json", "patched.yaml"}


def load(path: Path) -> Object:
    content: Object = yaml.safe_load(path.read_text())
    return content


def admitted(case: Path, consumer: Object, old: Object | None = None) -> tuple[list[Any], Object]:
    """Put a new consumer, or a new version of an old one, to the webhook; return its patch and the outcome."""
    storage = case / "storage.yaml"
    storages = {key_of(load(storage)): load(storage)} if storage.exists() else {}
    operation, namespace = "CREATE" if old is None else "UPDATE", consumer["metadata"]["namespace"]
    write = consumers.ConsumerWrite.of(AdmissionRequest("1", operation, namespace, "", consumer, old))
    decision = consumers.decide(write, storages, Target.ALL, may_use=True)
    assert isinstance(decision, Allow | Patch)
    operations = decision.operations if isinstance(decision, Patch) else []
    return operations, jsonpatch.apply_patch(consumer, json.dumps(operations))


FRESH = [case for case in CASES if InjectionRecord.of(load(case / "consumer.yaml")) is None]
"""Cases without an earlier injection, which the webhook could take out again."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_patch_and_the_patched_object_are_the_recorded_ones(case: Path, *, is_rewriting: bool) -> None:
    operations, patched = admitted(case, load(case / "consumer.yaml"))
    if is_rewriting:
        (case / "patch.json").write_text(json.dumps(operations, indent=2) + "\n")
        (case / "patched.yaml").write_text(yaml.safe_dump(patched, sort_keys=True, width=120))
    assert json.loads((case / "patch.json").read_text()) == operations
    assert load(case / "patched.yaml") == patched


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_second_admission_changes_nothing(case: Path) -> None:
    assert admitted(case, load(case / "patched.yaml"))[0] == []


@pytest.mark.parametrize("case", FRESH, ids=lambda case: case.name)
def test_the_same_manifest_in_place_of_what_is_stored_has_the_same_outcome(case: Path) -> None:
    stored = load(case / "patched.yaml")
    assert admitted(case, load(case / "consumer.yaml"), stored)[1] == stored


@pytest.mark.parametrize("case", FRESH, ids=lambda case: case.name)
def test_all_that_the_user_wrote_is_kept(case: Path) -> None:
    assert is_kept(load(case / "consumer.yaml"), load(case / "patched.yaml"))


def test_a_field_or_an_item_that_is_gone_or_changed_does_not_count_as_kept() -> None:
    assert is_kept({"a": [1, {"b": None}]}, {"a": [1, {"b": {}}, 2], "c": 3})
    for written, patched in (
        ({"a": 1}, {}),
        ([1], []),
        ([1, 2], [2, 1]),
        ("x", "x\n"),
        (1, True),
        ({"a": {}}, {"a": 1}),
    ):
        assert not is_kept(written, patched)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_has_its_files_and_no_others(case: Path) -> None:
    present = {path.name for path in case.iterdir()}
    assert present - INPUTS == OUTPUTS
    assert "consumer.yaml" in present


def test_there_are_cases_and_no_stray_files() -> None:
    assert CASES
    assert {path.name for path in HERE.iterdir() if path.is_file()} == {"conftest.py", "test_golden.py"}
