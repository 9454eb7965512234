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

from shared.consumers.targets import Target
from shared.objects.resources import key_of
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


def outcome(case: Path) -> tuple[list[Any], Object]:
    consumer = load(case / "consumer.yaml")
    storage = case / "storage.yaml"
    storages = {key_of(load(storage)): load(storage)} if storage.exists() else {}
    namespace = consumer["metadata"]["namespace"]
    write = consumers.ConsumerWrite.of(AdmissionRequest("1", "CREATE", namespace, "", consumer, None))
    decision = consumers.decide(write, storages, Target.ALL, may_use=True)
    assert isinstance(decision, Allow | Patch)
    operations = decision.operations if isinstance(decision, Patch) else []
    return operations, jsonpatch.apply_patch(consumer, json.dumps(operations))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_patch_and_the_patched_object_are_the_recorded_ones(case: Path, *, is_rewriting: bool) -> None:
    operations, patched = outcome(case)
    if is_rewriting:
        (case / "patch.json").write_text(json.dumps(operations, indent=2) + "\n")
        (case / "patched.yaml").write_text(yaml.safe_dump(patched, sort_keys=True, width=120))
    assert json.loads((case / "patch.json").read_text()) == operations
    assert load(case / "patched.yaml") == patched


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_has_its_files_and_no_others(case: Path) -> None:
    present = {path.name for path in case.iterdir()}
    assert present - INPUTS == OUTPUTS
    assert "consumer.yaml" in present


def test_there_are_cases_and_no_stray_files() -> None:
    assert CASES
    assert {path.name for path in HERE.iterdir() if path.is_file()} == {"conftest.py", "test_golden.py"}
