"""What an answer to a review means, whatever words and order it is said in. Pure.

A benchmark of wrong answers is worth nothing: before anything is measured, all servers must mean the same.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jsonpatch
import orjson

from shared.names import ANNOTATION_INJECTION

if TYPE_CHECKING:
    from shared.objects.resources import Object
    from tests.bench.cases import Case


@dataclass(frozen=True)
class Meaning:
    """What becomes of the object.

    Attributes:
        verdict: patched, allowed or denied.
        code: HTTP status of a refusal, else 0.
        result: The object as it would be stored; None if it is refused.
    """

    verdict: str
    code: int
    result: Any


def meaning(case: Case, answer: bytes) -> Meaning:
    """Read an answer to a case."""
    content = orjson.loads(answer)
    assert (content["apiVersion"], content["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response = content["response"]
    assert response["uid"] == orjson.loads(case.body)["request"]["uid"]
    if not response["allowed"]:
        assert "patch" not in response
        return Meaning("denied", response["status"]["code"], None)
    operations = orjson.loads(base64.b64decode(response.get("patch") or b"W10="))
    assert not any(operation["op"] == "test" for operation in operations)
    patched = jsonpatch.apply_patch(case.object, json.dumps(operations))
    return Meaning("patched" if operations else "allowed", 0, _with_record_read(patched))


def _with_record_read(obj: Object) -> Object:
    """Replace the record, which is a text, by what it says: its keys have no order."""
    annotations = obj["metadata"].get("annotations", {})
    record = orjson.loads(annotations.get(ANNOTATION_INJECTION, b"null"))
    if record is not None:
        record["made"] = sorted(record["made"])
    return {**obj, "metadata": {**obj["metadata"], "annotations": {**annotations, ANNOTATION_INJECTION: record}}}
