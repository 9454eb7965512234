"""docs/reference/conditions.md explains every word that the code writes into a status or an Event, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from shared import errors
from shared.objects import resources
from shared.session_storage.status import Phase, RotationPhase

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "reference" / "conditions.md").read_text()
DECIDING: Final = ("certs", "reconciler", "shared")
"""Packages that write statuses and Events."""
CAMEL_CASE: Final = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]*)*")
ROW: Final = re.compile(r"^\|(.*)\|$", re.MULTILINE)
QUOTED: Final = re.compile(r"`([^`]+)`")

KINDS: Final = {each.kind for each in vars(resources).values() if isinstance(each, resources.Resource)}
OF_KUBERNETES: Final = {
    # Values of fields, and what Kubernetes itself writes into statuses that the reconciler reads.
    *("True", "False", "Unknown", "None", "Normal", "Warning", "Accept", "Authorization", "Date"),
    *("Opaque", "Orphan", "Parallel", "Honor", "Memory", "ClusterIP", "Egress", "Ingress", "Namespaced", "List"),
    *("OnDelete", "OnRootMismatch", "DoNotSchedule", "ReadWriteOnce", "RuntimeDefault", "IfNotPresent"),
    *("AlwaysAllow", "IfHealthyBudget", "Insufficient", "FieldValueForbidden", "NoExecute", "NoSchedule", "Invalid"),
    *("In", "NotIn", "Exists", "DoesNotExist", "Equal", "Gt", "Lt", "PreferNoSchedule"),
    *("Running", "Succeeded", "PodScheduled", "DisruptionTarget", "ContainerCreating", "PodInitializing"),
    "ErrImagePull",
    "ValidatingAdmissionPolicy",
}
OF_THE_CODE: Final = {
    # Units, types and names of columns.
    *("Gi", "Mi", "Ti", "Key", "BearerToken", "Reconcile"),
    *("Age", "Size", "Phase", "Instances", "Primary", "Reason", "Secret", "Message"),
    # Why the primary became or stays what it is, where no status says so.
    *("FirstStart", "OnlyInstance"),
}
ENDING_NO_PASS: Final = {errors.MalformedReview, errors.Overloaded, errors.InvalidSettings, errors.InvalidSecret}
"""Errors of the webhook, and those that the reconciler turns into a finding where they come up."""


def written(package: str) -> set[str]:
    """List the words in CamelCase that stand alone in a string of a package's code."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / package).rglob("*.py")]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and CAMEL_CASE.fullmatch(text)}


def error_names(kind: type[errors.SessionStorageError] = errors.SessionStorageError) -> set[str]:
    """List the errors that can end a pass: the condition `Reconciled` has their names as reasons."""
    inner = set().union(*(error_names(each) for each in kind.__subclasses__()))
    return inner if kind in ENDING_NO_PASS else inner | {kind.__name__}


def explained() -> set[str]:
    """List the words that the page explains: those in the first columns of its tables, up to the first sentence."""
    found: set[str] = set()
    for row in ROW.findall(PAGE):
        for cell in (each.strip() for each in row.split("|")):
            if not re.fullmatch(r"(?:`[^`]+`(?:, )?)*", cell):
                break
            found |= {word for word in QUOTED.findall(cell) if CAMEL_CASE.fullmatch(word)}
    return found


WORDS: Final = (
    set().union(*map(written, DECIDING)) - KINDS - OF_KUBERNETES - OF_THE_CODE
    | error_names()
    | set(Phase)
    | set(RotationPhase)
)


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_of_a_status_or_an_event_is_explained(word: str) -> None:
    assert word in explained(), (
        f"{word}: add a row to docs/reference/conditions.md, or to a set of this test if no status and no Event has it"
    )


def test_the_page_explains_no_word_that_the_code_does_not_have() -> None:
    assert sorted(explained() - WORDS - {"True", "False"}) == []


def test_the_test_knows_no_word_that_is_gone() -> None:
    known = set().union(*map(written, DECIDING))
    assert sorted((OF_KUBERNETES | OF_THE_CODE) - known) == []
