from __future__ import annotations

import base64
import tracemalloc
from typing import Any

import orjson
import pytest

from shared.errors import MalformedReview
from webhook.admission import review
from webhook.admission.review import Allow, Deny, Patch
from webhook.undecided import memory_of

REQUEST: dict[str, Any] = {
    "uid": "7",
    "operation": "UPDATE",
    "namespace": "ns",
    "object": {"metadata": {}},
    "oldObject": None,
}


def body(request: Any, **changes: Any) -> bytes:
    return orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request, **changes})


def answer(decision: review.Decision) -> Any:
    return orjson.loads(review.render("7", decision))["response"]


def test_a_review_is_parsed() -> None:
    assert review.parse(body(REQUEST)) == review.AdmissionRequest("7", "UPDATE", "ns", "", {"metadata": {}}, None)


@pytest.mark.parametrize(
    "malformed",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"a": NaN}', id="no JSON"),
        pytest.param(body(REQUEST, apiVersion="admission.k8s.io/v1beta1"), id="another version"),
        pytest.param(body(REQUEST, kind=["AdmissionReview"]), id="another kind"),
        pytest.param(body(None), id="no request"),
        pytest.param(body("request"), id="request is text"),
        pytest.param(body({**REQUEST, "uid": ""}), id="no uid"),
        pytest.param(body({**REQUEST, "uid": 7}), id="uid is a number"),
        pytest.param(body({**REQUEST, "operation": ["CREATE"]}), id="operation is an array"),
        pytest.param(body({**REQUEST, "userInfo": {"username": ["ann"]}}), id="user name is an array"),
        pytest.param(body({**REQUEST, "userInfo": {"groups": "all"}}), id="groups are text"),
        pytest.param(body({**REQUEST, "userInfo": {"extra": {"scopes": [7]}}}), id="extra holds a number"),
        pytest.param(body({**REQUEST, "object": "x"}), id="object is text"),
        pytest.param(body({**REQUEST, "object": {"metadata": []}}), id="metadata is an array"),
        pytest.param(body({**REQUEST, "object": {"metadata": {"name": 1}}}), id="name is a number"),
        pytest.param(body({**REQUEST, "oldObject": {"metadata": {"namespace": {}}}}), id="namespace is an object"),
    ],
)
def test_a_review_that_cannot_be_answered_is_malformed(malformed: bytes) -> None:
    with pytest.raises(MalformedReview):
        review.parse(malformed)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"operation": "DELETE"}, id="deletion"),
        pytest.param({"object": None}, id="no object"),
        pytest.param({"subResource": "status"}, id="status"),
        pytest.param({"object": {"metadata": {"deletionTimestamp": "2026-11-23T12:00:00Z"}}}, id="terminating"),
    ],
)
def test_some_writes_need_no_decision(changes: Any) -> None:
    assert review.parse(body({**REQUEST, **changes})).written is None


def test_an_allowing_answer_has_no_further_fields() -> None:
    assert answer(Allow()) == {"uid": "7", "allowed": True}


def test_a_patch_is_standard_base64() -> None:
    operations = [{"op": "add", "path": "/spec/a", "value": "???>>>"}]
    response = answer(Patch(operations))
    assert (response["allowed"], response["patchType"]) == (True, "JSONPatch")
    assert orjson.loads(base64.b64decode(response["patch"], validate=True)) == operations


def test_a_denial_lists_all_problems_as_kubernetes_does() -> None:
    assert answer(Deny(("a: Required value",)))["status"]["message"] == "a: Required value"
    status = answer(Deny(("a: Required value", "b: Forbidden")))["status"]
    assert status == {"code": 422, "reason": "Invalid", "message": "[a: Required value, b: Forbidden]"}


def test_a_warning_is_one_short_line() -> None:
    (warning,) = answer(Allow(("a\nb\x1b" + "é" * 500,)))["warnings"]
    assert warning.startswith("a b é")
    assert len(warning) == 256


def test_a_review_with_more_values_than_any_has_is_refused_before_it_is_parsed() -> None:
    most = b"[" + b"[]," * (review.MAX_VALUES // 2 - 2) + b"[]]"
    assert review.count_values(most) <= review.MAX_VALUES
    with pytest.raises(MalformedReview, match="more than 250000 values"):
        review.count_values(b"[[],[]," + most + b"]")


@pytest.mark.parametrize(
    ("text", "values"),
    [("{}", 1), ("[]", 1), ("7", 1), ("[1,2]", 3), ('{"a":{"b":[]},"c":0}', 4), ('[[],{},""]', 4)],
)
def test_no_json_holds_more_values_than_are_counted(text: str, values: int) -> None:
    assert review.count_values(text.encode()) >= values


@pytest.mark.parametrize(
    "item",
    [
        pytest.param("[]", id="arrays"),
        pytest.param("{}", id="objects"),
        pytest.param('[[[[{"a":[]}]]]]', id="nested ones"),
        pytest.param("[" * 900 + "]" * 900, id="deeply nested arrays"),
        pytest.param('{"":' * 900 + "{}" + "}" * 900, id="deeply nested objects"),
        pytest.param('{"a":0}', id="objects with one entry"),
        pytest.param('{"a":[0]}', id="objects with an array"),
        pytest.param("1.5e9", id="numbers"),
        pytest.param('"\U0001f600abcdefgh"', id="texts with a wide character"),
        pytest.param('"\\ud83d\\ude00abcdefghabcdefgh"', id="texts with an escaped wide character"),
    ],
)
def test_no_review_takes_more_memory_than_is_estimated(item: str) -> None:
    for size in (20_000, 1_000_000):
        text = f"[{','.join([item] * (size // len(item)))}]".encode()
        assert kept(text) <= memory_of(len(text), 1 + sum(map(text.count, b",[{")))
        assert kept(text) <= memory_of(len(text), len(text))


def test_an_object_with_many_keys_takes_no_more_memory_than_is_estimated() -> None:
    text = orjson.dumps({f"{number}": number + 0.5 for number in range(20_000)})
    assert kept(text) <= memory_of(len(text), 1 + sum(map(text.count, b",[{")))
    assert kept(text) <= memory_of(len(text), len(text))


def kept(text: bytes) -> int:
    """Tell how many bytes the values in a JSON text take."""
    tracemalloc.start()
    try:
        values = orjson.loads(text)
        size, _ = tracemalloc.get_traced_memory()
        assert values
        return size
    finally:
        tracemalloc.stop()
