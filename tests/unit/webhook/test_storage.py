from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sessionstorage import INTERVAL_HINT
from webhook import storage
from webhook.review import AdmissionRequest, Allow, Decision, Deny, Patch

EXTERNAL = {"url": "redis://there:6379", "secretRef": "auth"}


def decide(spec: Any, *, name: str = "store", old: Any = None) -> Decision:
    obj = {"metadata": {"name": name}, "spec": spec}
    old_object = None if old is None else {"metadata": {"name": name}, "spec": old}
    return storage.decide(AdmissionRequest("1", "UPDATE" if old else "CREATE", "ns", "", obj, old_object))


def problems(decision: Decision) -> list[str]:
    assert isinstance(decision, Deny)
    return list(decision.problems)


@pytest.mark.parametrize("spec", [{}, {"size": None}, {"external": None}])
def test_the_default_size_is_medium(spec: Any) -> None:
    assert decide(spec) == Patch([{"op": "add", "path": "/spec/size", "value": "medium"}])


@pytest.mark.parametrize("spec", [{"size": "small"}, {"size": "large"}, {"external": EXTERNAL}])
def test_a_sound_storage_passes_unchanged(spec: Any) -> None:
    assert decide(spec) == Allow()


def test_size_beside_external_is_legal_but_said_to_be_ignored() -> None:
    assert decide({"size": "medium", "external": EXTERNAL}) == Allow(
        ("spec.size is ignored, because spec.external is set",)
    )


def test_a_schedule_beside_external_is_legal_but_said_to_be_ignored() -> None:
    (warning,) = decide({"rotation": {"every": "720h"}, "external": EXTERNAL}).warnings
    assert warning.startswith("spec.rotation is ignored")


@pytest.mark.parametrize("every", ["1h", "60m", "720h", "1h30m", "99999h"])
def test_a_schedule_of_an_hour_or_more_passes(every: str) -> None:
    assert decide({"size": "small", "rotation": {"every": every}}) == Allow()


def test_an_external_storage_without_a_secret_gets_a_warning() -> None:
    (warning,) = decide({"external": {"url": "redis://there"}}).warnings
    assert warning.startswith("spec.external.secretRef is not set")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(None, "spec: Required value", id="no spec"),
        pytest.param([], "spec: Invalid value: must be an object", id="spec is an array"),
        pytest.param(
            {"size": "huge"},
            'spec.size: Unsupported value: "huge": supported values: "small", "medium", "large"',
            id="unknown size",
        ),
        pytest.param(
            {"size": 5}, 'spec.size: Unsupported value: 5: supported values: "small", "medium", "large"', id="number"
        ),
        pytest.param({"size": {}}, "spec.size: Invalid value: must be a string", id="size is an object"),
        pytest.param({"external": {}}, "spec.external.url: Required value", id="no url"),
        pytest.param({"rotation": {}}, "spec.rotation.every: Required value", id="no interval"),
        *(
            pytest.param(
                {"rotation": {"every": every}},
                f'spec.rotation.every: Invalid value: "{every}": {INTERVAL_HINT}',
                id=f"interval {every!r}",
            )
            for every in ("", "59m", "0h", "30d", "1.5h", "-2h", "1h30s", "2h ")
        ),
        pytest.param({"external": "redis://x"}, "spec.external: Invalid value: must be an object", id="external text"),
        pytest.param({"external": {"url": []}}, "spec.external.url: Invalid value: must be a string", id="url array"),
        pytest.param(
            {"external": {**EXTERNAL, "url": "redis://" + "x" * 600}},
            "spec.external.url: Too long: may not be more than 512 bytes",
            id="long url",
        ),
        pytest.param(
            {"external": {**EXTERNAL, "secretRef": "No/Name"}},
            "spec.external.secretRef: Invalid value: \"No/Name\": must consist of lower-case letters, digits, '-' or"
            " '.', and start and end with a letter or digit",
            id="secret",
        ),
    ],
)
def test_each_problem_is_named_as_kubernetes_would(spec: Any, expected: str) -> None:
    assert problems(decide(spec)) == [expected]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("http://there", "Unsupported value: must start with redis://", id="scheme"),
        pytest.param("there:6379", "Unsupported value: must start with redis://", id="no scheme"),
        pytest.param("redis://", "Invalid value: must name a host", id="nothing"),
        pytest.param("redis://:6379", "Invalid value: must name a host", id="no host"),
        pytest.param("redis://there:0", "and a port between 1 and 65535", id="port 0"),
        pytest.param("redis://there:99999", "and a port between 1 and 65535", id="port too high"),
        pytest.param("redis://[::1", "Invalid value: must name a host", id="half a bracket"),
        pytest.param("redis://there?db=1", "Forbidden: must not have a query", id="query"),
        pytest.param("redis://there/a/b", "must be redis://host[:port][/db]", id="path"),
        pytest.param("redis://user@there", "Forbidden: must not hold a user name or password", id="user"),
    ],
)
def test_a_bad_address_is_explained(url: str, said: str) -> None:
    (problem,) = problems(decide({"external": {"url": url}}))
    assert problem.startswith("spec.external.url: ")
    assert said in problem


@given(
    template=st.sampled_from(
        ["redis://:{}@there:6379", "redis://u:{}@there", "{}://there", "redis:{}@there", "redis://there?password={}"]
    ),
    password=st.text(alphabet="abcXYZ0189/#:@?%", min_size=12, max_size=24),
)
def test_a_password_in_an_address_is_refused_and_never_repeated(template: str, password: str) -> None:
    decision = decide({"external": {"url": template.format(password)}})
    assert isinstance(decision, Deny)
    assert password not in " ".join(decision.problems)


def test_all_problems_come_at_once() -> None:
    decision = decide({"size": "huge", "external": {"url": "http://u:p@x", "secretRef": 5}}, name="A" * 41)
    assert [problem.split(":")[0] for problem in problems(decision)] == [
        "metadata.name",
        "metadata.name",
        "spec.size",
        "spec.external.url",
        "spec.external.url",
        "spec.external.secretRef",
    ]


def test_long_values_are_cut() -> None:
    (problem,) = problems(decide({"size": "x" * 10_000}))
    assert len(problem) < 200


@pytest.mark.parametrize(("old", "new"), [({"size": "small"}, {"external": EXTERNAL}), ({"external": EXTERNAL}, {})])
def test_managed_and_external_do_not_change_places(old: Any, new: Any) -> None:
    (problem,) = problems(decide(new, old=old))
    assert problem.startswith("spec.external: Forbidden")


def test_an_update_of_the_metadata_alone_passes_whatever_the_rules() -> None:
    assert decide({"size": "huge"}, old={"size": "huge"}) == Allow()


def test_a_name_is_judged_only_when_it_is_given() -> None:
    assert isinstance(decide({"size": "small"}, name="x" * 41), Deny)
    assert decide({"size": "small"}, name="x" * 41, old={"size": "medium"}) == Allow()
    assert decide({"size": "small"}, name="") == Allow()


anything = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "size": anything,
            "external": anything | st.fixed_dictionaries({"url": anything}, optional={"secretRef": anything}),
        },
    )
    | anything
)
def test_nothing_makes_it_stumble(spec: Any) -> None:
    json.dumps([*decide(spec).warnings])
