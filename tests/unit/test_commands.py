"""The commands that pages give to copy name kinds, fields, labels, options and chart values that exist."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from shared import names
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.session_storage.crd import crd
from tests.support.page_commands import commands, kinds_of, kubectl_of, split

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy" / "chart"
PAGES: Final = [
    page
    for page in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
    if page.parent.name != "adr" and re.search(r"^ *```(?:sh|text)\n", page.read_text(), re.MULTILINE)
]
each_page: Final = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

KUBERNETES: Final = frozenset(
    {"configmap", "crd", "deployment", "deployments", "hpa", "lease", "networkpolicy", "nodes", "persistentvolumeclaim"}
    | {"pod", "pods", "pvc", "secret", "mutatingwebhookconfiguration", "validatingadmissionpolicybinding"}
)
OF_OTHERS: Final = frozenset({"podmonitors", "prometheusrules", "prometheuses"})
"""Kinds of the Prometheus operator."""
LABELS: Final = {
    "app.kubernetes.io/name": {"toolhive-session-storage"},
    "app.kubernetes.io/component": {"webhook", "reconciler"},
    names.LABEL_COMPONENT: {names.COMPONENT_PROXY},
    names.LABEL_ROLE: set(names.ROLES),
}
"""Labels whose values are known."""


@cache
def own_kinds() -> frozenset[str]:
    own = crd()["spec"]["names"]
    return frozenset({own["plural"], own["singular"], *own["shortNames"]})


@cache
def known_kinds() -> frozenset[str]:
    consumers = {name for each in CONSUMER_RESOURCES for name in (each.plural, each.kind.lower())}
    return KUBERNETES | OF_OTHERS | own_kinds() | consumers


@cache
def keys() -> set[str]:
    """All labels and annotations of the product."""
    return {value for value in vars(names).values() if isinstance(value, str) and value.startswith(f"{names.GROUP}/")}


@cache
def condition_types() -> set[str]:
    page = (ROOT / "docs/reference/conditions.md").read_text()
    return set(re.findall(r"^\| `([A-Z]\w+)` \|", page, re.MULTILINE))


@cache
def has_field(path: str) -> bool:
    """Tell whether a SessionStorage has a field, such as `.status.rotation.phase`."""
    schema: Any = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in path.strip(".").split("."):
        schema = schema.get("properties", {}).get(name)
        if schema is None:
            return False
    return True


@cache
def has_value(path: str) -> bool:
    """Tell whether the chart has a value; below one that is free in form, all do."""
    root = schema = json.loads((CHART / "values.schema.json").read_text())
    for name in re.sub(r"\[\d+\]", "", path).replace("\\.", "\0").split("."):
        while "$ref" in schema:
            schema = root["definitions"][schema["$ref"].rpartition("/")[2]]
        if "properties" not in schema:
            return True
        schema = schema["properties"].get(name)
        if schema is None:
            return False
    return True


@cache
def release_objects() -> set[str]:
    """Names of objects that begin with the release's, as templates and the installation guide write them."""
    texts = [path.read_text() for path in (CHART / "templates").rglob("*.*")]
    endings = {
        ending for text in texts for ending in re.findall(r'(?:Release\.Name \}\}|\$name \}\}|"%s)-([a-z-]+)', text)
    }
    return {"session-storage-system", *(f"session-storage-{ending}" for ending in endings)}


def test_commands_are_told_apart_as_a_shell_does() -> None:
    text = "kubectl -n a logs -l x=y --tail=5 | jq '.b | c'\nkubectl get pods \"$(date -u)\""
    found = [(each.words[0], each.words[-1], each.reader) for each in split(text)]
    assert found == [("date", "-u", ""), ("kubectl", "--tail=5", "jq"), ("jq", ".b | c", ""), ("kubectl", "VALUE", "")]


@each_page
def test_kubectl_knows_the_options_and_the_cluster_the_kinds(page: Path) -> None:
    unknown = {
        (kind, command.text)
        for command in commands(page)
        if (read := kubectl_of(command)) is not None
        for kind in kinds_of(read) - known_kinds()
    }
    assert unknown == set()


@each_page
def test_labels_annotations_and_conditions_are_the_products(page: Path) -> None:
    text = "\n".join(command.text for command in commands(page))
    assert set(re.findall(rf"(?<![\w.-]){re.escape(names.GROUP)}/[a-z-]+", text)) <= keys()
    asked = re.findall(r'\.type ?== ?"(\w+)"|--for=condition=([A-Z]\w+)', text)
    assert {one or other for one, other in asked} <= condition_types() | {"Available"}


@each_page
def test_an_annotation_that_a_page_sets_is_one_that_the_product_reads(page: Path) -> None:
    """API servers ask the webhook about no change of another's annotation, and the reconciler reads none."""
    for command in commands(page):
        read = kubectl_of(command)
        if read is not None and read.operands[0] == "annotate":
            assert {word.partition("=")[0].rstrip("-") for word in read.operands if "=" in word} <= keys(), command.text


@each_page
def test_selectors_have_values_that_pods_have(page: Path) -> None:
    for command in commands(page):
        read = kubectl_of(command)
        for _, selector in (each for each in read.options if each[0] == "-l") if read is not None else ():
            for term in selector.split(","):
                key, _, value = term.partition("=")
                assert value in LABELS.get(key, {value}), command.text


@each_page
def test_fields_of_a_storage_are_in_its_schema(page: Path) -> None:
    for command in commands(page):
        read = kubectl_of(command)
        if read is None or not kinds_of(read) & own_kinds():
            continue
        for path in re.findall(r"(?<![\w)])(\.(?:spec|status)(?:\.\w+)*)", command.text):
            assert has_field(path), command.text


@each_page
def test_objects_of_the_release_are_called_as_the_chart_calls_them(page: Path) -> None:
    text = "\n".join(command.text for command in commands(page) if command.words[0] == "kubectl")
    named = set(re.findall(r"(?<![\w./:-])(?:[a-z]+/)?(session-storage-[a-z-]+)(?![\w./-])", text))
    assert named <= release_objects()


@each_page
def test_logs_of_many_pods_are_whole_and_end_at_none_of_them(page: Path) -> None:
    """Sources: `kubectl logs --help`, and `pkg/cmd/logs/logs.go` of k8s.io/kubectl v0.36.3."""
    for command in commands(page):
        read = kubectl_of(command)
        if read is None or read.operands[:1] != ["logs"]:
            continue
        # kubectl shows ten lines of each pod if nobody says how many, and stops at the first without a former server.
        assert not read.has("-l") or read.has("--tail"), command.text
        assert not (read.has("-l") and read.has("--previous")) or read.has("--ignore-errors"), command.text
        # `--all-pods` puts the pod's name before each line, whatever `--prefix` says.
        assert command.reader != "jq" or not read.has("--all-pods", "--prefix"), command.text


@each_page
def test_helm_sets_values_that_the_chart_has_and_keeps_no_old_defaults(page: Path) -> None:
    for command in commands(page):
        if command.words[0] != "helm":
            continue
        assert "--reuse-values" not in command.words, "the new chart's defaults are then missing"
        for option, assignment in zip(command.words, command.words[1:], strict=False):
            if option == "--set" and "deploy/chart" in command.words:
                assert has_value(assignment.partition("=")[0]), command.text


def test_there_are_commands_to_check() -> None:
    found = [command for page in PAGES for command in commands(page) if command.words[0] in {"kubectl", "helm"}]
    assert len(found) > 100
