"""What a storage hands down has names and values that API servers take on every object."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from reconciler.manifests.storage import Inherited, Storage
from shared.session_storage.crd import crd
from shared.session_storage.models import InheritedMetadata
from shared.session_storage.validation import MAX_ANNOTATION, MAX_INHERITED, METADATA_KEY_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_DOMAIN: Final = 253
LONGEST_NAME: Final = 63
ALL_ANNOTATIONS: Final = 256 * 1024
"""Bytes that API servers let all annotations of an object have, names included."""
CHART: Final = Path(__file__).parents[4] / "deploy" / "chart"
DEFINITIONS: Final = json.loads((CHART / "values.schema.json").read_text())["definitions"]

NAME = st.text("aZ0-_.", max_size=5) | st.integers(60, 66).map(lambda length: "a" * length)
DOMAIN = st.text("aZ0-_.", max_size=7) | st.integers(250, 256).map(lambda length: "a" * length)
KEY = NAME | st.builds("{}/{}".format, DOMAIN, NAME) | st.builds("{}/{}/{}".format, DOMAIN, DOMAIN, NAME)


def is_name(text: str) -> bool:
    """Tell whether a text may stand behind the slash of a label, or be its value; part by part, as in Kubernetes."""
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    return (
        0 < len(text) <= LONGEST_NAME
        and set(text) <= allowed | set("-_.")
        and text[0] in allowed
        and text[-1] in allowed
    )


def is_qualified(key: str) -> bool:
    """Tell whether a key is a label's or an annotation's: `IsQualifiedName` of k8s.io/apimachinery, written anew."""
    *domain, name = key.split("/")
    if len(domain) > 1 or not is_name(name):
        return False
    return all(len(each) <= LONGEST_DOMAIN and all(map(is_domain_label, each.split("."))) for each in domain)


def is_domain_label(text: str) -> bool:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789")
    return bool(text) and set(text) <= allowed | {"-"} and text[0] != "-" and text[-1] != "-"


def is_taken(field: str, key: str, value: str = "") -> bool:
    return is_taken_whole({key: value}, field)


def is_taken_whole(handed_down: dict[str, str], field: str = "annotations") -> bool:
    try:
        InheritedMetadata.model_validate({field: handed_down})
    except ValidationError:
        return False
    return True


@given(KEY)
@example("a..b/team")
@example("a.-b/x")
@example("a-.b/x")
@example(".a/x")
@example("a./x")
@example("example.com/team")
@example("a/")
@example("team\n")
def test_a_name_is_taken_if_and_only_if_api_servers_take_it(key: str) -> None:
    assert is_taken("labels", key) is is_qualified(key)
    assert is_taken("annotations", key) is is_qualified(key)


@given(NAME)
@example("a\n")
def test_a_value_of_a_label_is_taken_if_and_only_if_api_servers_take_it(value: str) -> None:
    assert is_taken("labels", "team", value) is (value == "" or is_name(value))


def test_the_most_that_a_storage_may_hand_down_fits_on_an_object() -> None:
    widest = "\N{GRINNING FACE}"
    keys = [f"{'a' * 251}{number}/{'a' * LONGEST_NAME}" for number in range(10, 10 + MAX_INHERITED)]
    most = dict.fromkeys(keys, widest * MAX_ANNOTATION)
    taken = InheritedMetadata.model_validate({"annotations": most, "labels": dict.fromkeys(keys, "")})
    found = Storage("mine", "team", "uid-1", Inherited(taken.labels, taken.annotations)).metadata("mine-valkey")
    size = sum(len(key) + len(value.encode()) for key, value in found["annotations"].items())
    assert size < ALL_ANNOTATIONS * 3 // 4, "others may add some, and the reconciler its record of a change"
    for number in (MAX_INHERITED, MAX_INHERITED + 1):
        assert is_taken_whole(dict.fromkeys(map(str, range(number)), "")) is (number == MAX_INHERITED)
    assert is_taken("annotations", "a", widest * MAX_ANNOTATION)
    assert not is_taken("annotations", "a", widest * MAX_ANNOTATION + "x")


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_the_api_server_is_told_the_same_rule(field: str) -> None:
    for version in crd()["spec"]["versions"]:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        named, _ = spec["properties"]["inheritedMetadata"]["properties"][field]["x-kubernetes-validations"]
        short = f"key.indexOf('/') <= {LONGEST_DOMAIN}"
        assert named["rule"] == f"self.all(key, key.matches(r'{METADATA_KEY_PATTERN}') && {short})"


def taken_by_the_chart(definition: str) -> Callable[[str], bool]:
    rule: Any = DEFINITIONS[definition]["propertyNames"]
    return lambda key: bool(re.search(rule["pattern"], key)) and not re.search(rule["not"]["pattern"], key)


@pytest.mark.parametrize("definition", ["labels", "annotations"])
def test_the_charts_values_for_pods_follow_the_same_rule(definition: str) -> None:
    takes = taken_by_the_chart(definition)

    @given(KEY)
    @example("a..b/team")
    @example("a.-b/x")
    def judge(key: str) -> None:
        assert takes(key) is is_qualified(key)

    judge()
