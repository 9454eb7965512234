"""Reduces a webhook's answer to its effect, so that answers of different servers can be compared. Pure.

Messages and the order of patch operations may differ between servers; the effect may not, or the benchmark would
compare servers that do different work.
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
    """The effect of an answer.

    Attributes:
        verdict: `patched`, `allowed` or `denied`.
        code: HTTP status of a denial, else 0.
        result: The object that the API server would store; None after a denial.
    """

    verdict: str
    code: int
    result: Any


def meaning(case: Case, answer: bytes) -> Meaning:
    """Parse the AdmissionReview that answers a case."""
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
    return Meaning("patched" if operations else "allowed", 0, _with_parsed_record(patched))


def _with_parsed_record(obj: Object) -> Object:
    """Parse the injection record, which is JSON in an annotation: servers may write its keys in any order."""
    annotations = obj["metadata"].get("annotations", {})
    record = orjson.loads(annotations.get(ANNOTATION_INJECTION, b"null"))
    if record is not None:
        record["made"] = sorted(record["made"])
    return {**obj, "metadata": {**obj["metadata"], "annotations": {**annotations, ANNOTATION_INJECTION: record}}}
