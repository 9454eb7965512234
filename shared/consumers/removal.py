"""Takes out of a consumer what its records say was put there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consumers.injection_record import RECORD
from shared.consumers.reference import ANNOTATIONS
from shared.objects.field_path import Draft, Path, is_below, is_hollow, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.consumers.injection_record import Record
    from shared.objects.resources import Object


def undone(consumer: Object, told: Sequence[Record]) -> Draft:
    """Undo what the records say, as far as nobody has changed it since."""
    bare = Draft(consumer)
    remove_annotation(bare, RECORD)
    for record in told:
        for path, value in record.put.items():
            if read(bare.obj, path) == value:
                bare.remove(path)
            _remove_hollows_above(bare, path, record.made)
    return bare


def remove_annotation(bare: Draft, path: Path) -> None:
    """Take one away, and the object of them all with the last: to the API server, an empty one is the same as none."""
    if read(bare.obj, path) is None:
        return
    bare.remove(path)
    if not read(bare.obj, ANNOTATIONS):
        bare.remove(ANNOTATIONS)


def _remove_hollows_above(bare: Draft, path: Path, made: tuple[Path, ...]) -> None:
    """Take away what was made to hold a field, from the inside out, as far as nobody has put anything else there."""
    for length in range(len(path) - 1, 0, -1):
        above = path[:length]
        if not is_below(above, made) or not is_hollow(read(bare.obj, above), above[-1]):
            break
        bare.remove(above)
