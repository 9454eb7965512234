"""Every word that the code can write into a status or an Event, read from the code itself."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from certs.rotation.actions import Phase as Phases
from reconciler.runtime.storage_metrics import REASONS as MOVES
from shared import errors
from shared.objects import resources
from shared.session_storage.status import Phase, RotationPhase

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
DECIDING: Final = ("certs", "reconciler", "shared")
"""Packages that write statuses and Events."""
CAMEL_CASE: Final = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]*)*")

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


def words() -> set[str]:
    """List the words of statuses and Events."""
    in_code = set().union(*map(written, DECIDING)) - KINDS - OF_KUBERNETES - OF_THE_CODE
    return in_code | error_names() | set(Phase) | set(RotationPhase)


@cache
def written(package: str) -> frozenset[str]:
    """List the words in CamelCase that stand alone in a string of a package's code."""
    texts = {node.value for _, tree in _trees(package) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return frozenset(text for text in texts if isinstance(text, str) and CAMEL_CASE.fullmatch(text))


def error_names(kind: type[errors.SessionStorageError] = errors.SessionStorageError) -> set[str]:
    """List the errors that can end a pass: the condition `Reconciled` has their names as reasons."""
    inner = set().union(*(error_names(each) for each in kind.__subclasses__()))
    return inner if kind in ENDING_NO_PASS else inner | {kind.__name__}


def findings() -> set[tuple[str, str]]:
    """List each type of a condition with a reason that the code gives it by name.

    A reason that the code gets from elsewhere, such as an instance's answer, is not among them.
    """
    found = set[tuple[str, str]]()
    for package in DECIDING:
        for module, tree in _trees(package):
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
                match call:
                    case ast.Call(func=ast.Name(id="Finding"), args=[kind, _, reason, *_]):
                        pair = _value(kind, module), _value(reason, module)
                    case ast.Call(func=ast.Name(id="updating"), args=[_, reason, *_]):
                        pair = "Updating", _value(reason, module)
                    case _:
                        continue
                if all(isinstance(each, str) for each in pair):
                    found.add((str(pair[0]), str(pair[1])))
    return found


def move_types() -> dict[str, str]:
    """List why a primary can move, each reason with the type of its Event."""
    return {reason: "Normal" if is_planned else "Warning" for reason, is_planned in MOVES.items()}


def certificate_event_types() -> dict[str, str]:
    """List the reasons of Events about certificates with their types: phases that have begun, and what code names."""
    found = {phase.value: "Normal" for phase in Phases if phase is not Phases.STABLE}
    for module, tree in _trees("certs"):
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            match call:
                case ast.Call(func=ast.Name(id="EventNote"), args=[ast.Constant(value=str(kind)), reason, *_]):
                    if isinstance(named := _value(reason, module), str):
                        found[named] = kind
    return found


def _value(node: ast.expr, module: str) -> Any:
    """Evaluate an expression that names a constant of a module; None for any other one."""
    if isinstance(node, ast.Constant):
        return node.value
    names = list[str]()
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    value: Any = importlib.import_module(module)
    for name in (node.id, *names):
        value = getattr(value, name, None)
    return value


def _trees(package: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(path.read_text())
