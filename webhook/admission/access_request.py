"""The request that the API server judge whether a user may use a storage. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.objects.resources import Key, Object


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """May this user use that storage?

    Attributes:
        user: `userInfo` of an admission request.
        storage: Namespace and name of the storage.
    """

    user: Object = field(repr=False)
    storage: Key
