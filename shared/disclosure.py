"""What may be shown of others' texts: nothing that may be a password, its hash, or the id of a session. Pure.

Logs and statuses repeat the errors of this project, whose messages hold none of that. The text of any other error, of a
library's log line or of a server's answer may quote what it stumbled over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shared import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN: Final = "***"
_USER_INFO: Final = re.compile(r"//[^\s'\"]*@")
"""Also with characters that a password must not have there unless they are escaped: people write them as they are."""
_SESSION: Final = re.compile(r"(thv:[a-z]+:session:(?:\{[^{}]*\}:)?)[^\s'\"]+")
"""A session's key; whoever has the id at its end can take the session over."""
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""The form of the ids that MCP servers give to sessions."""
_LONG: Final = re.compile(r"[A-Za-z0-9+/_]{16,}={0,2}")
"""What may be a password of ours, a part of one, or its hash: they are long, and of letters and digits alone,
or Base64. An equals sign elsewhere parts a name from its value, and a line is of no use without both."""


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Hide whatever may be secret in a text.

    Args:
        text: The text of an error that is not ours, for instance.
        secrets: What must not be shown whatever it looks like.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _SESSION.sub(rf"\1{HIDDEN}", _USER_INFO.sub(f"//{HIDDEN}@", text))
    return _LONG.sub(HIDDEN, _UUID.sub(HIDDEN, text))


def text_of(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """Tell what an error says: one of ours as it is, any other without what may be secret.

    Args:
        error: The error.
        secrets: What must not be shown whatever it looks like.
    """
    text = str(error)
    return text if isinstance(error, errors.SessionStorageError) else without_secrets(text, secrets)
