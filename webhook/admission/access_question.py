"""The question whether a user may use a storage. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.objects.resources import Key, Object


@dataclass(frozen=True, slots=True)
class Question:
    """May this user use that storage?

    Attributes:
        user: `userInfo` of an admission request.
        storage: The storage.
    """

    user: Object = field(repr=False)
    storage: Key
