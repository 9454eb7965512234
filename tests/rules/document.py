"""Writes down every rule: `python -m tests.rules.document` prints `docs/reference/rules.md`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from tests.rules import (
    consumer_refusals,
    consumer_warnings,
    deletions,
    storage_access,
    storage_refusals,
    storage_warnings,
)
from tests.rules.rule import Rule, StorageRule

HEAD: Final = """\
<!-- Generated from tests/rules by `make generate`; do not edit. -->

# Rules of admission

This page lists what the webhook says when somebody creates, changes or deletes a `SessionStorage`, or an object that
refers to one: each rule with its message for an example, and its reason. *Refused* means that the API server stores
nothing; one answer names all problems of an object. A *warning* refuses nothing.
"""
ON_STORAGES: Final = """\
The CRD repeats the rules that need no look-up, so that the API server enforces them even while the webhook is down.
The last column shows the API server's message then; it stops at the first kind of mistake. A schema cannot say all of
`secretRef`, which is a string or an object: the reconciler repeats those rules, and does nothing for such a storage.
"""
ON_CONSUMERS: Final = """\
These rules apply to an `MCPServer`, `MCPRemoteProxy`, `VirtualMCPServer` or `MCPExternalAuthConfig` that refers to a
storage, by the field or by the annotation `toolhive.stacklok.dev/session-storage`. ToolHive judges everything else
about it. While the webhook is down, nobody can change a consumer that refers to a storage; all others can be changed.
"""


INVALID: Final = "InvalidSpec"
"""Reason of the condition `Ready`, if the schema lets an object pass that the reconciler cannot read."""


def document() -> str:
    parts = (
        HEAD,
        "## SessionStorages\n",
        ON_STORAGES,
        "### Refused\n",
        _table(storage_refusals.RULES),
        "### Refused for what the author or the installation lacks\n",
        _table(storage_access.RULES),
        "### Warnings\n",
        _table(storage_warnings.RULES),
        "### Deletion refused\n",
        _table(deletions.RULES),
        "## Consumers and their references\n",
        ON_CONSUMERS,
        "### Refused\n",
        _table(consumer_refusals.RULES),
        "### Warnings\n",
        _table(consumer_warnings.RULES),
    )
    return "\n".join(parts)


def _table(rules: Sequence[Rule]) -> str:
    columns = ["when", "message", "why"]
    has_schema = any(isinstance(rule, StorageRule) and rule.alone for rule in rules)
    if has_schema:
        columns.append("without the webhook")
    rows = [columns, ["---"] * len(columns)]
    for rule in rules:
        row = [rule.when, _code(rule.says), rule.why]
        if has_schema and isinstance(rule, StorageRule):
            row.append("the same" if rule.alone == rule.says else _code(rule.alone or INVALID))
        rows.append(row)
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _code(message: str) -> str:
    escaped = message.replace("|", "\\|")
    return f"`{escaped}`"


def main() -> None:
    """Print the page."""
    sys.stdout.write(document())


if __name__ == "__main__":
    main()
