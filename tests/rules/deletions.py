"""Every refusal to delete a SessionStorage."""

from __future__ import annotations

from typing import Final

from tests.rules.rule import DeletionRule

RULES: Final = (
    DeletionRule(
        when="somebody deletes a storage that consumers refer to",
        servers=1,
        says=(
            'SessionStorage "team/mine" is used by MCPServer team/srv-0: remove their references first, or force it:'
            " kubectl annotate sessionstorage mine -n team toolhive.stacklok.dev/force-delete=true"
        ),
        why=(
            "Its data would be lost, and consumers would wait for a store that never comes. The webhook lets the"
            " deletion of the whole namespace pass."
        ),
        is_seen=False,
    ),
    DeletionRule(
        when="more than ten consumers refer to it",
        servers=12,
        says=(
            'SessionStorage "team/mine" is used by '
            + ", ".join(f"MCPServer team/srv-{number}" for number in range(10))
            + " and 2 more: remove their references first, or force it:"
            " kubectl annotate sessionstorage mine -n team toolhive.stacklok.dev/force-delete=true"
        ),
        why="A message must fit on a screen.",
        is_seen=False,
    ),
)
