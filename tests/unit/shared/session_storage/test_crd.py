"""The CRD is structural, agrees with the models, and has its rules and columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.manifests.storage import Storage
from shared import names
from shared.objects.resources import Object
from shared.session_storage import crd as crd_module
from shared.session_storage.crd import COLUMNS, WIDE_COLUMNS, crd
from shared.session_storage.sizes import Size

CRD = crd()
OLDER, VERSION = CRD["spec"]["versions"]
SCHEMA: Object = VERSION["schema"]["openAPIV3Schema"]
SPEC: Object = SCHEMA["properties"]["spec"]
EXTERNAL: Object = SPEC["properties"]["external"]
SECRET_REF: Object = EXTERNAL["properties"]["secretRef"]


def schemas(schema: Any) -> Iterator[Object]:
    yield schema
    for inner in (*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])):
        yield from schemas(inner)


def rules(schema: Object) -> dict[str, str]:
    return {item["rule"]: item["message"] for item in schema.get("x-kubernetes-validations", [])}


def test_every_schema_is_structural() -> None:
    found = list(schemas(SCHEMA))
    assert len(found) > 15
    for schema in found:
        # The Secret's name, or an object: a structural schema has no type for both.
        assert isinstance(schema.get("type"), str) or schema is SECRET_REF
        assert not schema.keys() & {"$ref", "$defs", "anyOf", "allOf", "oneOf", "title", "nullable"}
        assert None not in schema.values()
        assert set(schema.get("required", [])) <= schema.get("properties", {}).keys()


def test_the_only_default_is_the_status_of_a_storage_that_nobody_has_seen() -> None:
    """Without a status, kstatus would take a new storage for complete; the webhook gives the spec its defaults."""
    assert [schema for schema in schemas(SCHEMA) if "default" in schema] == [SCHEMA["properties"]["status"]]
    assert SCHEMA["properties"]["status"]["default"] == {"observedGeneration": -1}


def test_the_schema_of_metadata_has_only_a_type() -> None:
    assert SCHEMA["properties"]["metadata"] == {"type": "object"}


def test_names_are_what_people_type() -> None:
    assert CRD["metadata"]["name"] == "sessionstorages.toolhive.stacklok.dev"
    assert CRD["spec"]["names"] == {
        "kind": "SessionStorage",
        "listKind": "SessionStorageList",
        "plural": "sessionstorages",
        "singular": "sessionstorage",
        "shortNames": ["sstore"],
        "categories": ["toolhive"],
    }
    assert CRD["spec"]["scope"] == "Namespaced"
    assert VERSION["subresources"] == {"status": {}}


def test_both_versions_are_the_same_but_for_their_names_and_which_of_them_is_stored() -> None:
    """A rollback to a release that serves only the older one must be able to read every storage."""
    assert CRD["spec"]["conversion"] == {"strategy": "None"}
    assert (OLDER["name"], OLDER["served"], OLDER["storage"]) == ("v1alpha1", True, True)
    assert {**OLDER, "name": "v1beta1", "storage": False} == VERSION
    assert "deprecated" not in OLDER


def test_the_reconciler_owns_objects_by_the_version_that_every_release_serves() -> None:
    """Kubernetes deletes no object whose owner it can look up; it could not look up a version that nobody serves."""
    assert Storage("mine", "team", "u").reference["apiVersion"] == f"{names.GROUP}/{OLDER['name']}"


def test_an_uninstall_keeps_the_definition_and_with_it_every_storage() -> None:
    assert CRD["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_columns_are_those_of_the_design() -> None:
    columns = VERSION["additionalPrinterColumns"]
    assert [column["name"] for column in columns if "priority" not in column] == [
        *("Size", "Ready", "Phase", "Instances", "Primary", "Reason", "Age")
    ]
    assert [(column["name"], column["priority"]) for column in columns if "priority" in column] == [
        ("Secret", 1),
        ("Message", 1),
    ]
    assert [column["name"] for column in columns if column["type"] == "date"] == ["Age"]


@pytest.mark.parametrize("path", [path for _, path, _ in (*COLUMNS, *WIDE_COLUMNS) if "[" not in path])
def test_every_column_shows_a_field_that_exists(path: str) -> None:
    schema = SCHEMA
    for part in path.removeprefix(".").split("."):
        schema = schema["properties"][part]
    assert schema["type"] == "string"


def test_the_crd_has_a_rule_for_every_check_that_needs_no_look_up() -> None:
    assert SCHEMA["required"] == ["spec"]
    assert SPEC["properties"]["size"]["enum"] == list(Size)
    assert any("size() <= 40" in rule for rule in rules(SCHEMA))
    assert "has(self.external) == has(oldSelf.external)" in rules(SPEC)
    url = EXTERNAL["properties"]["url"]
    assert any("valkeys?" in rule for rule in rules(url))
    assert "pattern" not in url  # an error of the schema itself would repeat the value, and a password in it
    assert "required" not in EXTERNAL
    assert EXTERNAL["minProperties"] == 1


def test_a_secret_is_named_by_a_string_or_by_an_object_that_keeps_what_nobody_knows() -> None:
    """CEL cannot read a field without a type, and the API server refuses a rule inside one."""
    assert SECRET_REF.keys() == {
        *("description", "x-kubernetes-preserve-unknown-fields", "maxLength", "pattern", "properties", "required")
    }
    assert SECRET_REF["x-kubernetes-preserve-unknown-fields"] is True
    assert SECRET_REF["required"] == ["name"]
    for schema in SECRET_REF["properties"].values():
        assert schema.keys() == {"type", "maxLength", "pattern", "description"}


def test_every_string_that_a_rule_reads_has_a_bound() -> None:
    """Without a bound, the API server's estimate of the rule's cost exceeds its limit."""
    for schema in schemas(SPEC):
        if schema.get("type") == "string" and rules(schema):
            assert schema["maxLength"]


def test_conditions_merge_by_their_type() -> None:
    conditions = SCHEMA["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert conditions["items"]["required"] == ["type", "status", "reason", "lastTransitionTime"]


def test_numbers_have_a_format() -> None:
    numbers = [schema for schema in schemas(SCHEMA) if schema.get("type") == "integer"]
    assert numbers
    assert {schema["format"] for schema in numbers} == {"int64"}


def fields(path: str, schema: Any) -> Iterator[tuple[str, Object]]:
    for name, each in schema.get("properties", {}).items():
        yield f"{path}.{name}", each
        yield from fields(f"{path}.{name}", each.get("items", each))


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        pytest.param(path, schema, id=path)
        for top in ("spec", "status")
        for path, schema in fields(top, SCHEMA["properties"][top])
    ],
)
def test_every_field_is_explained_in_whole_sentences(path: str, schema: Object) -> None:
    assert re.fullmatch(r"[A-Za-z].{15,}\.", schema.get("description", "")), f"{path} needs a description"


def test_building_it_twice_gives_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    crd_module.main()
    first = capsys.readouterr().out
    crd_module.main()
    assert capsys.readouterr().out == first
    assert first.startswith("# Generated from shared/session_storage")
