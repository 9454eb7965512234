"""The reference of the API, made from the CRD, so that it says what the API server enforces. Pure.

`python -m shared.session_storage.reference` prints it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from shared import names
from shared.session_storage.crd import COLUMNS, SERVED_VERSIONS, STORED_VERSION, WIDE_COLUMNS, crd
from shared.session_storage.sizes import DEFAULT_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.objects.resources import Object

_HEAD: Final = """\
<!-- Generated from shared/session_storage by `make generate`; do not edit. -->

# API reference

`SessionStorage` of the API group `{group}`: plural `sessionstorages`, short name `sstore`. The API server serves
the versions {versions}, which have the same fields, and stores `{stored}`
([ADR 40](../adr/0040-two-versions-of-one-schema.md)). Use `{newest}` for new manifests.

`kubectl explain sessionstorage.spec` and `.status` show the same descriptions. [The rules](rules.md) list the answers
to mistakes, [conditions and Events](conditions.md) every word that a status uses.
"""
_DEFAULTS: Final = {
    "spec.size": f"`{DEFAULT_SIZE}`, unless `external` is set",
    "spec.external": "none: the storage is managed",
    "spec.external.secretRef": "none: consumers log in without a password",
    "spec.rotation": "none: passwords change on request alone",
    "spec.allowedNamespaces": "none but the storage's own",
}
"""What a field that its author left out means; the webhook writes the size, and nothing else, into the object."""
ANNOTATIONS: Final = (
    (names.ANNOTATION_ROTATE, "Each new value makes the reconciler change the passwords once."),
    (names.ANNOTATION_ROTATE_FORCE, "The revision whose rotation ends without the consumers that it still waits for."),
    (names.ANNOTATION_SWITCHOVER, "Each new value makes the reconciler move the primary to another instance once."),
    (names.ANNOTATION_PROMOTE, "`instance@incident`: a consent to lose writes. `FailoverBlocked` prints the command."),
    (names.ANNOTATION_ADOPT, "UIDs of what a backup left, to be taken over. `AdoptionNeeded` prints the command."),
    (names.ANNOTATION_LOG_LEVEL, "`debug@2026-01-31T18:00:00Z`: the reconciler logs more of the storage until then."),
    (names.ANNOTATION_FORCE_DELETE, "`true` allows the deletion of the storage while consumers refer to it."),
)
"""What users write on a storage."""


def reference() -> str:
    """Write the page."""
    schema = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    head = _HEAD.format(
        group=names.GROUP,
        versions=" and ".join(f"`{version}`" for version in SERVED_VERSIONS),
        stored=STORED_VERSION,
        newest=SERVED_VERSIONS[-1],
    )
    parts = (
        head,
        "## metadata\n",
        _table(("field", "rules"), [("`name`", _rules(schema))]),
        "### Annotations\n",
        _table(("annotation", "meaning"), [(f"`{name}`", meaning) for name, meaning in ANNOTATIONS]),
        *_sections("spec", schema["properties"]["spec"]),
        *_sections("status", schema["properties"]["status"]),
        "## Columns of `kubectl get`\n",
        _table(("column", "field", "meaning"), list(_columns())),
    )
    return "\n".join(parts)


def _columns() -> Iterator[tuple[str, str, str]]:
    for columns, where in ((COLUMNS, ""), (WIDE_COLUMNS, " (`-o wide`)")):
        for name, path, meaning in columns:
            yield f"{name.upper()}{where}", f"`{path}`", f"{meaning}."


def _sections(path: str, schema: Object) -> Iterator[str]:
    """Describe an object, and after it each object in it."""
    yield f"{'#' * (2 + path.count('.'))} {path}\n"
    yield f"{_text(schema['description'])}\n"
    if general := _rules(schema):
        yield f"{general[0].upper()}{general[1:]}.\n"
    yield _written_by_users(path, schema) if path.startswith("spec") else _written_by_the_reconciler(schema)
    for name, each in schema["properties"].items():
        inner = each.get("items", each)
        if "properties" in inner:
            yield from _sections(f"{path}.{name}", {**inner, "description": each["description"]})


def _written_by_users(path: str, schema: Object) -> str:
    required = schema.get("required", [])
    rows = [
        (
            f"`{name}`",
            _type(each),
            _default(f"{path}.{name}", is_required=name in required),
            _rules(each),
            _text(each["description"]),
        )
        for name, each in schema["properties"].items()
    ]
    return _table(("field", "type", "default", "rules", "meaning"), rows)


def _written_by_the_reconciler(schema: Object) -> str:
    rows = [(f"`{name}`", _type(each), _text(each["description"])) for name, each in schema["properties"].items()]
    return _table(("field", "type", "meaning"), rows)


def _default(path: str, *, is_required: bool) -> str:
    return "required" if is_required else _DEFAULTS.get(path, "none")


def _type(schema: Object) -> str:
    if "items" in schema:
        return f"array of {_type(schema['items'])}s"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if isinstance(values := schema.get("additionalProperties"), dict):
        return f"map of {_type(values)}s"
    return "time" if schema.get("format") == "date-time" else str(schema.get("type", "any"))


def _rules(schema: Object) -> str:
    """List what the API server checks, in the words of its refusals."""
    found = [_text(rule["message"]) for rule in schema.get("x-kubernetes-validations", [])]
    if "maxLength" in schema:
        found.append(f"at most {schema['maxLength']} characters")
    if "maxItems" in schema:
        found.append(f"at most {schema['maxItems']} entries")
    if schema.get("x-kubernetes-list-type") == "set":
        found.append("no entry twice")
    if "items" in schema and (each := _rules(schema["items"])):
        found.append(f"each entry: {each}")
    return "; ".join(found)


def _text(text: str) -> str:
    """Write a text so that Markdown shows it as it is."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (header, ["---"] * len(header), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Print the page."""
    sys.stdout.write(reference())


if __name__ == "__main__":
    main()
