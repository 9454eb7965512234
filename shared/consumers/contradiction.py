"""Which of a user's own settings contradict the storage that the consumer refers to. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.consumers.kinds import KEY_PREFIX, SESSION_STORAGE
from shared.names import is_key_prefix
from shared.objects.field_path import dotted

if TYPE_CHECKING:
    from shared.consumers.reference import StorageReference
    from shared.objects.field_path import Path

_OWN_STORE: Final = frozenset((*SESSION_STORAGE, field) for field in ("address", "db", "passwordRef"))
"""What tells where a user's own store is, and how to log in there."""


def contradiction(path: Path, present: Any, value: Any, reference: StorageReference) -> str | None:
    """Say how a user's own value contradicts the storage; None if it may stand.

    This names the field and not its value, because people put passwords into addresses.

    Args:
        path: Path of the field.
        present: Its value.
        value: The value that the storage asks for; None if the field is to be absent.
        reference: The storage.
    """
    # An envFrom entry is found by its Secret; the rest of it, such as `optional`, is the user's.
    if path[-2] == "envFrom" or present == value:
        return None
    if path == KEY_PREFIX and isinstance(present, str) and present:
        return _problem_of_prefix(present, value)
    needed = "nothing" if value is None else orjson.dumps(value).decode()
    problem = f'{dotted(path)}: Invalid value: SessionStorage "{reference}" needs {needed} here: '
    if path[-2:] == ("storage", "type"):
        return f"{problem}write it, because ToolHive's default is memory"
    if path in _OWN_STORE and value is not None:
        return f"{problem}leave the field out; how to keep the sessions of your own store: docs/howto/move-in.md"
    return f"{problem}leave the field out"


def _problem_of_prefix(present: str, value: str) -> str | None:
    """Let a user's own prefix stand, by which a server finds the sessions that it has; but not another consumer's."""
    if not is_key_prefix(present) or present.startswith(value):
        return None
    return (
        f"{dotted(KEY_PREFIX)}: Invalid value: another consumer's sessions begin like this: write a prefix of your own,"
        " or leave the field out"
    )
