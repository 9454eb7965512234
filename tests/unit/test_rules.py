"""Every rule of admission gives the message in the table, and the table has every rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.state.session_storage import DeclaredStorage
from shared.objects.resources import Object
from shared.session_storage import validation
from shared.session_storage.crd import crd
from tests.rules import (
    consumer_refusals,
    consumer_warnings,
    deletions,
    storage_access,
    storage_refusals,
    storage_warnings,
)
from tests.rules.rule import ConsumerRule, Rule, StorageRule
from webhook.admission.review import MAX_WARNING, Deny

ROOT = Path(__file__).parents[2]
DECIDING = (
    "webhook/admission/session_storages.py",
    "webhook/admission/session_storage_spec.py",
    "webhook/admission/consumers.py",
    "webhook/admission/consumer_warnings.py",
    "webhook/admission/deletions.py",
    "shared/consumers/reference.py",
    "shared/consumers/targets.py",
    "shared/consumers/auth_server.py",
    "shared/consumers/contradiction.py",
    "shared/consumers/kinds.py",
    "shared/objects/field_path.py",
)
"""All modules with the text of a refusal or a warning."""
ELSEWHERE = {
    "shared/session_storage/endpoint.py",
    "shared/session_storage/models.py",
    "webhook/admission/review.py",
    "shared/errors.py",
    "shared/consumers/injection_record.py",
    "shared/consumers/injection.py",
}
"""Modules with such words, but no sentence of their own for authors; the reconciler reads what has passed admission."""
REFUSALS: tuple[Rule, ...] = (
    *storage_refusals.RULES,
    *storage_access.RULES,
    *deletions.RULES,
    *consumer_refusals.RULES,
)
WARNINGS: tuple[Rule, ...] = (*storage_warnings.RULES, *consumer_warnings.RULES)
MESSAGES = [rule.says for rule in (*REFUSALS, *WARNINGS)]


def named(rules: tuple[Rule, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("rule", rules, ids=lambda rule: rule.when)


@named(REFUSALS)
def test_the_example_is_refused_with_just_this_message(rule: Rule) -> None:
    assert isinstance(rule.decision, Deny)
    assert rule.said == rule.expected


@named(WARNINGS)
def test_the_example_passes_with_just_this_warning(rule: Rule) -> None:
    assert not isinstance(rule.decision, Deny)
    assert rule.said == rule.expected


@named(WARNINGS)
def test_a_warning_is_whole_even_with_the_longest_names(rule: Rule) -> None:
    grown = rule.says.replace("team", "t" * 63).replace("platform", "p" * 63).replace("mine", "m" * 40)
    assert len(grown) <= MAX_WARNING


@named((*REFUSALS, *WARNINGS))
def test_every_rule_has_a_reason_in_a_sentence(rule: Rule) -> None:
    assert rule.why.endswith(".")
    assert "|" not in rule.when + rule.why


def sentences(module: str) -> Iterator[str]:
    """Return all texts of several words in a module, without its docstrings, as regular expressions."""
    tree = ast.parse((ROOT / module).read_text())
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts: list[tuple[str, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            literals = [part for part in node.values if isinstance(part, ast.Constant)]
            skipped |= {id(part) for part in literals}
            words = "".join(str(part.value) for part in literals)
            pattern = "".join(
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*" for part in node.values
            )
            texts.append((words, pattern))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            texts.append((node.value, re.escape(node.value)))
    return (pattern for words, pattern in texts if re.search(r"\w", words) and " " in words)


def test_every_module_that_refuses_is_listed() -> None:
    modules = [path for package in ("webhook", "shared") for path in (ROOT / package).rglob("*.py")]
    refusing = {path for path in modules if re.search(r"\b(Deny|InvalidSpec)\b\(", path.read_text())}
    assert refusing
    assert {str(path.relative_to(ROOT)) for path in refusing} <= {*DECIDING, *ELSEWHERE}


@pytest.mark.parametrize("module", DECIDING)
def test_the_table_has_every_sentence_of_the_code(module: str) -> None:
    found = list(sentences(module))
    assert found
    assert [pattern for pattern in found if not any(re.search(pattern, message) for message in MESSAGES)] == []


def test_the_table_has_every_hint_of_the_models() -> None:
    hints = [value for name, value in vars(validation).items() if name.endswith("_HINT")]
    assert len(hints) == 11
    assert [hint for hint in hints if not any(hint in message for message in MESSAGES)] == []


def schema_rules(schema: Object) -> Iterator[str]:
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", []))
    more = filter(None, (schema.get("items"), schema.get("additionalProperties")))
    for inner in (*schema.get("properties", {}).values(), *more):
        yield from schema_rules(inner)


def test_the_table_has_every_rule_of_the_crd() -> None:
    schemas = [version["schema"]["openAPIV3Schema"] for version in crd()["spec"]["versions"]]
    messages = {message for schema in schemas for message in schema_rules(schema)}
    assert len(messages) == 9
    alone = [rule.alone for rule in storage_refusals.RULES]
    assert {message for message in messages if not any(message in text for text in alone)} == set()


def test_every_refusal_of_a_storage_needs_no_webhook() -> None:
    """Each rule depends only on the object and its former state, which a schema knows too."""
    assert {rule.says.split(":")[0] for rule in storage_refusals.RULES if not rule.alone} == {"spec.external.secretRef"}
    assert not any(rule.alone for rule in storage_warnings.RULES)


@named(tuple(rule for rule in storage_refusals.RULES if not rule.alone))
def test_the_reconciler_refuses_what_the_schema_cannot(rule: StorageRule) -> None:
    declared = DeclaredStorage.of(rule.written())
    assert declared.spec is None
    assert "spec.external.secretRef" in declared.spec_problem


def test_rules_are_told_apart_by_their_conditions() -> None:
    for rules in (
        storage_refusals.RULES,
        storage_access.RULES,
        storage_warnings.RULES,
        deletions.RULES,
        consumer_refusals.RULES,
        consumer_warnings.RULES,
    ):
        assert len({rule.when for rule in rules}) == len(rules)


def test_all_problems_of_a_storage_are_named_at_once() -> None:
    everything = StorageRule(
        when="everything is wrong",
        old={"external": {"url": "redis://there"}},
        metadata={"name": "mine"},
        spec={"size": "huge", "allowedNamespaces": ["No", "a", "a"]},
        says="",
        why="",
    )
    assert everything.said == (
        'spec.size: Unsupported value: "huge": supported values: "small", "medium", "large"',
        "spec.allowedNamespaces[0]: Invalid value: \"No\": must be the name of a namespace, or '*' for all of them",
        'spec.allowedNamespaces[2]: Duplicate value: "a"',
        f"spec.external: Forbidden: {validation.KIND_CHANGE_HINT}",
    )


def test_all_problems_of_a_consumer_are_named_at_once() -> None:
    annotation = "metadata.annotations[toolhive.stacklok.dev/session-storage-targets]"
    unsupported = f'{annotation}: Unsupported value: "x": supported values: "backend", "proxy", "all", "none"'
    keeping = "how to keep the sessions of your own store: docs/howto/move-in.md"
    needs = 'Invalid value: SessionStorage "team/mine" needs'
    everything = ConsumerRule(
        when="everything is wrong",
        annotations={"toolhive.stacklok.dev/session-storage-targets": "x"},
        spec={
            "sessionStorageRef": "mine",
            "podTemplateSpec": [],
            "resourceOverrides": {"proxyDeployment": 5},
            "sessionStorage": {"provider": "memory", "db": 3},
        },
        says="",
        why="",
    )
    assert everything.said == (
        unsupported,
        "spec.podTemplateSpec: Invalid value: must be an object",
        "spec.resourceOverrides.proxyDeployment: Invalid value: must be an object",
        f'spec.sessionStorage.provider: {needs} "redis" here: leave the field out',
        f"spec.sessionStorage.db: {needs} 0 here: leave the field out; {keeping}",
    )


def test_all_problems_of_a_reference_are_named_at_once() -> None:
    targets = {"toolhive.stacklok.dev/session-storage-targets": "x", "toolhive.stacklok.dev/session-storage": "/"}
    everything = ConsumerRule(
        when="everything is wrong",
        annotations=targets,
        spec={"sessionStorageRef": {"name": "My", "namespace": "My", "kind": "X"}},
        says="",
        why="",
    )
    assert [problem.split(":")[0] for problem in everything.said] == [
        "spec.sessionStorageRef",
        "spec.sessionStorageRef",
        "spec.sessionStorageRef",
        "metadata.annotations[toolhive.stacklok.dev/session-storage]",
        "metadata.annotations[toolhive.stacklok.dev/session-storage-targets]",
    ]
