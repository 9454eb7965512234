"""The chart's values are explained, closed to unknown ones, and safe by default; the tests need no Helm."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = Path(__file__).parents[3] / "deploy" / "chart"
VALUES = (CHART / "values.yaml").read_text()
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
SECTIONS = {
    "image",
    "valkey",
    "webhook",
    "reconciler",
    "certificates",
    "rotation",
    "monitoring",
    "external",
    "crds",
    "rbac",
}
PROMISED = (
    "image.repository",
    "image.tag",
    "image.pullPolicy",
    "valkey.image",
    "webhook.replicas",
    "reconciler.replicas",
    "extendToolhiveCRDs",
)


def leaves(values: dict[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield from (f"{name}.{key}" for key in value) if name in SECTIONS else (name,)


def allowed(schema: dict[str, Any], path: str) -> bool:
    for name in path.split("."):
        schema = schema["properties"].get(name)
        if schema is None:
            return False
    return True


def closed_or_typed(schema: Any) -> Iterator[bool]:
    if isinstance(schema, list):
        for item in schema:
            yield from closed_or_typed(item)
    elif isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            yield schema.get("additionalProperties") is False
        for item in schema.values():
            yield from closed_or_typed(item)


@pytest.mark.parametrize("path", sorted(leaves(yaml.safe_load(VALUES))))
def test_every_value_is_known_to_the_schema_and_explained(path: str) -> None:
    assert allowed(SCHEMA, path)
    name = path.rpartition(".")[2]
    indent = "  " if "." in path else ""
    assert re.search(rf"^{indent}# -- (.+\n)({indent}# .+\n)*{indent}{name}:", VALUES, re.MULTILINE)


def test_the_values_that_users_and_tools_rely_on_are_there() -> None:
    assert set(PROMISED) <= set(leaves(yaml.safe_load(VALUES)))


def test_an_unknown_value_is_refused_at_every_level() -> None:
    answers = list(closed_or_typed(SCHEMA))
    assert len(answers) > len(SECTIONS)
    assert all(answers)


def test_valkey_is_pinned_by_digest() -> None:
    assert re.fullmatch(
        r"docker\.io/valkey/valkey:9\.1\.\d+@sha256:[0-9a-f]{64}", yaml.safe_load(VALUES)["valkey"]["image"]
    )


def test_no_right_is_granted_by_wildcard() -> None:
    templates = list(CHART.glob("templates/*/rbac.yaml"))
    assert len(templates) == 2
    assert not [template for template in templates if re.search(r"[\[\s\"']\*[\]\s\"',]", template.read_text())]


def test_no_template_sets_a_ca_bundle() -> None:
    assert not [path for path in CHART.glob("templates/**/*.yaml") if "caBundle:" in path.read_text()]


def test_what_is_rendered_depends_on_the_cluster_for_openshifts_ids_and_prometheus_operator_alone() -> None:
    asking = re.compile(r"\blookup\b|\.Capabilities\b|\.Release\.(?:IsInstall|IsUpgrade|Revision)\b")
    found = {
        str(path.relative_to(CHART)): asking.findall(path.read_text())
        for path in sorted(CHART.glob("templates/**/*.*"))
        if asking.search(path.read_text())
    }
    assert found == {
        "templates/_pod.tpl": [".Capabilities"],
        "templates/monitoring/_monitoring.tpl": [".Capabilities"],
    }
