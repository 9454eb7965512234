"""Tells whether a consumer has all that wiring puts there, as wiring left it. Pure.

Most writes of a consumer are about something else, and to undo a wiring and do it again takes three times as long as to
see that the same would come out. So this says yes only where that is certain: what is ours is exactly what is
wanted, no object that was made for it holds anything else, and in arrays it stands last, where it would be appended.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from shared.objects.field_path import ARRAYS, child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.consumers.kinds import Fields
    from shared.objects.field_path import Path
    from shared.objects.resources import Object

_MAX_HOLDERS: Final = 32
"""Each kind of consumer has a dozen combinations of target, storage and stamp at most, and few of them are used."""


def is_settled(consumer: Object, wanted: Sequence[Fields], made: Sequence[Path]) -> bool:
    """Tell whether to take out all that is wanted, and to put it in again, would make the same consumer.

    Args:
        consumer: May be of any shape.
        wanted: What wiring puts there.
        made: What it had made to hold that.
    """
    keys = _keys(tuple(above for above, _ in wanted))
    tops: list[Path] = []
    for above, fields in wanted:
        node: Any = consumer
        is_ours = False
        for depth, step in enumerate(above, 1):
            below, path = child(node, step), above[:depth]
            if not isinstance(below, list if step in ARRAYS else dict):
                return False
            if not is_ours and path in made:
                is_ours = True
                if path not in tops:
                    tops.append(path)
            if is_ours and not (_is_last(node, below) and (depth == len(above) or _has_only(below, keys[path]))):
                return False
            node = below
        if not _has(node, fields, is_ours=is_ours):
            return False
    return tops == list(made)


@lru_cache(_MAX_HOLDERS)
def _keys(holders: tuple[Path, ...]) -> Mapping[Path, set[str]]:
    """List, for every object and array above these, what it holds if it was made for them."""
    keys: dict[Path, set[str]] = {}
    for holder in holders:
        for depth in range(1, len(holder)):
            is_entry = holder[depth - 2] in ARRAYS
            keys.setdefault(holder[:depth], {"name"} if is_entry else set()).add(holder[depth])
    return keys


def _has_only(node: Any, keys: set[str]) -> bool:
    return len(node) == len(keys) if isinstance(node, list) else node.keys() == keys


def _has(holder: Any, fields: Mapping[str, Any], *, is_ours: bool) -> bool:
    count = 0
    for step, value in fields.items():
        present = child(holder, step)
        # To Python, False is 0; and as what is put there, null is the same as nothing.
        if type(present) is not type(value) or present != value:
            return False
        if present is not None:
            count += 1
            if not _is_last(holder, present):
                return False
    return not is_ours or len(holder) == count


def _is_last(node: Any, below: Any) -> bool:
    return isinstance(node, dict) or node[-1] is below
