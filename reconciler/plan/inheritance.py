"""What an object has inherited from its storage, and is not to have any more. Pure.

Others may add labels and annotations to our objects, so one that we do not ask for is no deviation by itself. An
annotation of the object tells which of them were inherited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from shared import names
from shared.objects.resources import annotation_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.objects.resources import Object

FIELDS: Final = ("labels", "annotations")


def disinherited(desired: Object, present: Object) -> dict[str, frozenset[str]]:
    """List the labels and annotations that an object has inherited, and is not to have any more.

    Returns:
        Keys by field of the metadata: `labels` or `annotations`. The record of what was inherited is among them if
        nothing is to be inherited.
    """
    recorded = _recorded(present)
    if not recorded:
        return {}
    lists: dict[str, frozenset[str]] = {}
    for field in FIELDS:
        former = {*_texts(recorded.get(field)), *([names.ANNOTATION_INHERITED] if field == "annotations" else [])}
        had, wanted = present["metadata"].get(field) or {}, desired["metadata"].get(field) or {}
        lists[field] = frozenset(key for key in former if key in had and key not in wanted)
    return {field: keys for field, keys in lists.items() if keys}


def _recorded(obj: Object) -> Mapping[str, Any]:
    """Read the record; anybody can write it, so it may be anything."""
    try:
        record = orjson.loads(annotation_of(obj, names.ANNOTATION_INHERITED) or "{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _texts(value: object) -> list[str]:
    """Pick the keys of a record, without those that are the product's: nobody inherits these."""
    found = value if isinstance(value, list) else []
    return [each for each in found if isinstance(each, str) and not each.startswith(f"{names.GROUP}/")]
