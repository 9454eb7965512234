"""The CustomResourceDefinition, made from the pydantic models. Pure; `python -m shared.session_storage.crd` prints it.

A structural schema (Kubernetes "Specifying a structural schema") is JSON Schema without references, titles and
null types, so this module removes those.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import yaml

from shared.objects.resources import SESSION_STORAGES, Object
from shared.session_storage.models import SessionStorage

COLUMNS: Final = (
    ("Size", ".spec.size", "Requested size; empty for an external storage"),
    ("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether consumers can use the storage"),
    ("Phase", ".status.phase", "Summary of the storage's state"),
    ("Instances", ".status.instances", "Valkey instances in sync, of those that the size asks for"),
    ("Primary", ".status.primaryPod", "Pod of the Valkey instance that is primary"),
    ("Reason", ".status.reason", "Why the storage is in this phase, in one word"),
)
"""What `kubectl get` shows of each storage, before its age."""
WIDE_COLUMNS: Final = (
    ("Secret", ".status.connectionSecret", "Secret with the connection settings for consumers"),
    ("Message", ".status.message", "Why the storage is in this phase, in a sentence"),
)
"""What `kubectl get -o wide` shows after that."""

SERVED_VERSIONS: Final = ("v1alpha1", "v1beta1")
STORED_VERSION: Final = SESSION_STORAGES.version
"""The version in which etcd keeps storages. A release that does not serve it could not read them (ADR 40)."""

_DROPPED: Final = frozenset({"title", "default", "$defs"})
_UNSEEN: Final = {"observedGeneration": -1}
"""The status of a storage that no reconciler has seen yet: kstatus takes an object without any status for complete."""


def crd() -> Object:
    """Build the CustomResourceDefinition of SessionStorage."""
    resource = SESSION_STORAGES
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource.plural}.{resource.group}",
            # An uninstall must not delete every storage of every user with it.
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": ["sstore"],
                "categories": ["toolhive"],
            },
            # All versions have the same schema, so the API server converts by writing another `apiVersion`.
            "conversion": {"strategy": "None"},
            "versions": [_version(name) for name in SERVED_VERSIONS],
        },
    }


def _version(name: str) -> Object:
    return {
        "name": name,
        "served": True,
        "storage": name == STORED_VERSION,
        "subresources": {"status": {}},
        "additionalPrinterColumns": _columns(),
        "schema": {"openAPIV3Schema": _root_schema()},
    }


def _columns() -> list[Object]:
    age = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    return [*map(_column, COLUMNS), age, *({**_column(each), "priority": 1} for each in WIDE_COLUMNS)]


def _column(column: tuple[str, str, str]) -> Object:
    name, path, description = column
    return {"name": name, "type": "string", "jsonPath": path, "description": description}


def _root_schema() -> Object:
    schema = SessionStorage.model_json_schema(by_alias=True)
    structural: Object = _structural(schema, schema["$defs"])
    identity = {name: {"type": "string"} for name in ("apiVersion", "kind")}
    structural["properties"] = {**identity, "metadata": {"type": "object"}, **structural["properties"]}
    structural["properties"]["status"]["default"] = dict(_UNSEEN)
    return structural


def _structural(schema: Any, definitions: Object) -> Any:
    if isinstance(schema, list):
        return [_structural(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = _resolved(schema, definitions)
    if "properties" in schema:
        properties = {name: _structural(value, definitions) for name, value in schema["properties"].items()}
        schema = {**schema, "properties": properties}
    result = {
        name: value if name == "properties" else _structural(value, definitions)
        for name, value in schema.items()
        if name not in _DROPPED
    }
    if result.get("type") == "integer":
        result["format"] = "int64"
    return result


def _resolved(schema: Object, definitions: Object) -> Object:
    """Replace a reference by its target, and `X or null`, as pydantic writes an optional field, by X."""
    if alternatives := schema.get("anyOf"):
        (only,) = [item for item in alternatives if item.get("type") != "null"]
        outer = {name: value for name, value in schema.items() if name != "anyOf"}
        return _resolved({**only, **outer}, definitions)
    if reference := schema.get("$ref"):
        target = definitions[reference.rsplit("/", 1)[-1]]
        outer = {name: value for name, value in schema.items() if name != "$ref"}
        return _resolved({**target, **outer}, definitions)
    return schema


def main() -> None:
    """Print the CRD as YAML, in the form that the chart ships."""
    sys.stdout.write("# Generated from shared/session_storage by `make generate`; do not edit.\n")
    yaml.safe_dump(crd(), sys.stdout, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    main()
