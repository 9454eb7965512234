"""Which keys Valkey removes when its memory is full. Pure.

Sessions have an end, so any of them may go: `allkeys-lru`, as the proposal has it. An embedded auth server also keeps
users, providers and its index of registered clients, which have none, and nobody brings them back. With `volatile-lru`
Valkey removes nothing but keys that end, and of those the ones that nobody has used for longest.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shared.objects.field_path import read

if TYPE_CHECKING:
    from shared.objects.resources import Object

EVICTION_FILE: Final = "eviction"
"""Beside the configuration: the `maxmemory-policy` with which an instance starts."""


class Eviction(StrEnum):
    """Values of Valkey's `maxmemory-policy`."""

    ANY_KEY = "allkeys-lru"
    ENDING_KEYS = "volatile-lru"


def eviction_for(config: Object | None, *, has_auth_data: bool | None, has_lasting_keys: bool | None) -> Eviction:
    """Tell what a storage's instances may remove.

    Once keys without an end were kept, they stay as long as there may be any, even without an auth server: its object
    may come back at once, as when somebody replaces or renames it, or restores a backup.

    Args:
        config: The storage's ConfigMap; None if it does not exist yet.
        has_auth_data: Whether some auth server keeps its data in the storage; None if that is not known.
        has_lasting_keys: Whether the storage holds keys without an end; None if it does not say.
    """
    if has_auth_data:
        return Eviction.ENDING_KEYS
    was_kept = read(config or {}, ("data", EVICTION_FILE)) == Eviction.ENDING_KEYS
    is_settled = has_auth_data is False and has_lasting_keys is False
    return Eviction.ENDING_KEYS if was_kept and not is_settled else Eviction.ANY_KEY
