from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.session_storage.allowed_hosts import AllowedHosts
from shared.session_storage.validation import INTERVAL_HINT
from webhook.admission import session_storages
from webhook.admission.review import AdmissionRequest, Allow, Decision, Deny, Patch

EXTERNAL = {"url": "redis://there:6379", "secretRef": "auth"}


def decide(spec: Any, *, name: str = "store", old: Any = None, running: Any = None) -> Decision:
    obj = {"metadata": {"name": name}, "spec": spec}
    old_object = None if old is None else {"metadata": {"name": name}, "spec": old, "status": {"size": running}}
    request = AdmissionRequest("1", "UPDATE" if old else "CREATE", "ns", "", obj, old_object)
    return session_storages.decide(request, AllowedHosts())


def problems(decision: Decision) -> list[str]:
    assert isinstance(decision, Deny)
    return list(decision.problems)


@pytest.mark.parametrize("spec", [{}, {"size": None}, {"external": None}])
def test_the_default_size_is_medium(spec: Any) -> None:
    assert decide(spec) == Patch([{"op": "add", "path": "/spec/size", "value": "medium"}])


@pytest.mark.parametrize("spec", [{"size": "small"}, {"size": "large"}, {"external": EXTERNAL}])
def test_a_sound_storage_passes_unchanged(spec: Any) -> None:
    assert decide(spec) == Allow()


@pytest.mark.parametrize("every", ["1h", "60m", "720h", "1h30m", "99999h"])
def test_a_schedule_of_an_hour_or_more_passes(every: str) -> None:
    assert decide({"size": "small", "rotation": {"every": every}}) == Allow()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(
            {"size": 5}, 'spec.size: Unsupported value: 5: supported values: "small", "medium", "large"', id="number"
        ),
        pytest.param({"rotation": []}, "spec.rotation: Invalid value: must be an object", id="rotation is an array"),
        pytest.param(
            {"rotation": {"every": 720}}, "spec.rotation.every: Invalid value: must be a string", id="interval number"
        ),
        *(
            pytest.param(
                {"rotation": {"every": every}},
                f'spec.rotation.every: Invalid value: "{every}": {INTERVAL_HINT}',
                id=f"interval {every!r}",
            )
            for every in ("", "59m", "0h", "30d", "1.5h", "-2h", "1h30s", "2h ")
        ),
        pytest.param({"external": {"url": []}}, "spec.external.url: Invalid value: must be a string", id="url array"),
        pytest.param(
            {"allowedNamespaces": ["a", 5]}, "spec.allowedNamespaces[1]: Invalid value: must be a string", id="entry"
        ),
        pytest.param(
            {"allowedNamespaces": ["x" * 64]},
            "spec.allowedNamespaces[0]: Too long: may not be more than 63 bytes",
            id="long entry",
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
        pytest.param("redis+sentinel://there/0", "Sentinel is not supported: name the primary", id="Sentinel"),
        pytest.param("REDISS+SENTINEL://there", "Sentinel is not supported: name the primary", id="Sentinel by TLS"),
        pytest.param("redis-cluster://a,b", "cluster mode is not supported", id="cluster"),
        pytest.param("redis://a:6379,b:6379/0", "must name one host: name the primary", id="several hosts"),
        pytest.param("redis+unix:///run/redis.sock", "a socket is on one host alone", id="socket"),
        pytest.param("redis-socket:///run/redis.sock", "a socket is on one host alone", id="another socket"),
        pytest.param("/run/redis.sock", "a socket is on one host alone", id="path"),
        pytest.param("h:6380,password=hunter2=,ssl=True", "a .NET client: write rediss://host:port", id=".NET"),
    ],
)
def test_a_bad_address_is_explained(url: str, said: str) -> None:
    (problem,) = problems(decide({"external": {"url": url}}))
    assert problem.startswith("spec.external.url: ")
    assert said in problem


@pytest.mark.parametrize("url", ["redis://there/", "REDIS://there", "Valkeys://There:6380/2", "redis://[::FFFF:1]/"])
def test_a_slash_at_the_end_and_capitals_are_no_mistake(url: str) -> None:
    assert decide({"external": {"url": url, "secretRef": "auth"}}) == Allow()


@pytest.mark.parametrize(
    "reference", [{"name": "auth"}, {"name": "auth", "passwordKey": "redis-password", "caKey": "tls.ca_1"}], ids=str
)
def test_a_secret_may_be_named_with_its_keys(reference: Any) -> None:
    assert decide({"external": {"url": "redis://there", "secretRef": reference}}) == Allow()


@pytest.mark.parametrize("reference", ["auth", {"name": "auth", "hostKey": "HOST"}], ids=str)
def test_the_secret_may_say_where_the_store_is(reference: Any) -> None:
    assert decide({"external": {"secretRef": reference}, "allowedNamespaces": ["other"]}) == Allow()


@pytest.mark.parametrize("value", [5, True, ["auth"]], ids=str)
def test_a_secret_is_named_in_no_other_way(value: Any) -> None:
    (problem,) = problems(decide({"external": {"url": "redis://there", "secretRef": value}}))
    assert problem == "spec.external.secretRef: Invalid value: must be a name, or an object with a name and keys"


def test_what_stands_in_place_of_an_address_is_not_repeated() -> None:
    (problem,) = problems(decide({"external": {"uri": "redis://:hunter2@there"}}))
    assert problem.startswith("spec.external: Required value: url")
    assert "hunter2" not in problem


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


def test_one_answer_names_all_problems() -> None:
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
def test_a_storage_stays_managed_or_external(old: Any, new: Any) -> None:
    (problem,) = problems(decide(new, old=old))
    assert problem.startswith("spec.external: Forbidden")


DISKS = {"small": 1, "medium": 5, "large": 10}


@pytest.mark.parametrize("wanted", [*DISKS, None])
@pytest.mark.parametrize("asked", [*DISKS, None])
def test_a_size_may_change_with_a_warning_that_the_disk_stays(asked: str | None, wanted: str | None) -> None:
    decision = decide({"size": wanted, "allowedNamespaces": ["x"]}, old={"size": asked})
    before, after = DISKS[asked or "medium"], DISKS[wanted or "medium"]
    assert not isinstance(decision, Deny)
    assert [warning.split()[0] for warning in decision.warnings] == ["spec.size:"] * (after < before)


@pytest.mark.parametrize("url", ["redis://there", "valkey://there:1/2"])
@pytest.mark.parametrize(("namespaces", "is_warned"), [((), False), (("ns",), False), (("*",), True), (("a",), True)])
def test_a_storage_without_tls_that_other_namespaces_use_gets_a_warning(
    url: str, namespaces: Any, *, is_warned: bool
) -> None:
    spec = {"external": {"url": url, "secretRef": "auth"}, "allowedNamespaces": list(namespaces)}
    assert [warning.split()[0] for warning in decide(spec).warnings] == ["spec.external.url"] * is_warned
    secure = {**spec, "external": {"url": url.replace("://", "s://"), "secretRef": "auth"}}
    assert decide(secure) == Allow()


def test_all_problems_of_a_long_address_are_named() -> None:
    said = problems(decide({"external": {"url": "http://me:secret@" + "x" * 600}}))
    assert len(said) == 3
    assert "Too long" in said[0]
    assert "secret@" not in str(said)


def test_an_update_of_the_metadata_alone_passes_even_if_the_spec_is_bad() -> None:
    assert decide({"size": "huge"}, old={"size": "huge"}) == Allow()


def test_a_name_is_only_judged_on_creation() -> None:
    assert isinstance(decide({"size": "small"}, name="x" * 41), Deny)
    assert decide({"size": "medium"}, name="x" * 41, old={"size": "small"}) == Allow()
    assert decide({"size": "small"}, name="") == Allow()


@pytest.mark.parametrize("prefix", ["x" * 35, "a-"])
def test_a_generated_name_has_room_for_its_suffix(prefix: str) -> None:
    obj = {"metadata": {"generateName": prefix}, "spec": {"size": "small"}}
    assert session_storages.decide(AdmissionRequest("1", "CREATE", "ns", "", obj, None), AllowedHosts()) == Allow()


def asked(spec: Any, old: Any = None) -> str | None:
    obj = {"metadata": {"name": "store"}, "spec": spec}
    old_object = None if old is None else {"metadata": {"name": "store"}, "spec": old}
    operation = "UPDATE" if old else "CREATE"
    return session_storages.secret_to_read(AdmissionRequest("1", operation, "ns", "", obj, old_object))


def test_whoever_names_a_secret_or_another_address_for_it_must_be_able_to_read_it() -> None:
    assert asked({"external": EXTERNAL}) == "auth"
    assert asked({"external": {**EXTERNAL, "secretRef": "other"}}, {"external": EXTERNAL}) == "other"
    assert asked({"external": {**EXTERNAL, "url": "redis://mine"}}, {"external": EXTERNAL}) == "auth"


def test_so_must_whoever_names_its_keys_or_has_it_say_where_the_store_is() -> None:
    keys = {"external": {**EXTERNAL, "secretRef": {"name": "auth", "passwordKey": "other"}}}
    assert asked(keys) == "auth"
    assert asked(keys, {"external": EXTERNAL}) == "auth"
    assert asked({"external": {"secretRef": "auth"}}, {"external": EXTERNAL}) == "auth"
    assert asked({"external": {"secretRef": {"name": "auth", "hostKey": "password"}}}, keys) == "auth"


@pytest.mark.parametrize(
    ("spec", "old"),
    [
        ({"size": "small"}, None),
        ({"external": {"url": "redis://there"}}, None),
        ({"external": {"url": "redis://there", "secretRef": 5}}, None),
        ({"external": {"url": "redis://there", "secretRef": {"passwordKey": "x"}}}, None),
        ({"external": {"url": "redis://there", "secretRef": {"name": ["x"]}}}, None),
        ({"external": {"url": "redis://there"}}, {"external": EXTERNAL}),
        ({"external": EXTERNAL, "allowedNamespaces": ["a"]}, {"external": EXTERNAL}),
    ],
    ids=str,
)
def test_nobody_needs_to_read_a_secret_that_goes_nowhere_new(spec: Any, old: Any) -> None:
    assert asked(spec, old) is None


@pytest.mark.parametrize(("allowed", "is_refused"), [("redis", True), ("redis.ns.svc", False), ("*.ns.svc", False)])
def test_the_name_of_a_service_is_judged_with_its_namespace(allowed: str, *, is_refused: bool) -> None:
    obj = {"metadata": {"name": "store"}, "spec": {"external": {**EXTERNAL, "url": "redis://redis:6379"}}}
    decision = session_storages.decide(AdmissionRequest("1", "CREATE", "ns", "", obj, None), AllowedHosts.of([allowed]))
    assert isinstance(decision, Deny) is is_refused
    if isinstance(decision, Deny):
        assert "redis.ns.svc is not in the list of hosts" in decision.problems[0]


def test_a_host_is_judged_only_when_it_is_set_or_changed() -> None:
    there = {"external": {"url": "redis://127.0.0.1"}}
    assert "a loopback address" in problems(decide(there))[0]
    assert not isinstance(decide({**there, "allowedNamespaces": ["a"]}, old=there), Deny)
    assert "a loopback address" in problems(decide(there, old={"external": EXTERNAL}))[0]


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
            "allowedNamespaces": anything | st.lists(anything, max_size=3),
            "external": anything | st.fixed_dictionaries({"url": anything}, optional={"secretRef": anything}),
        },
    )
    | anything
)
def test_no_spec_makes_the_decision_raise(spec: Any) -> None:
    json.dumps([*decide(spec).warnings])
