"""Takes out of a consumer what the webhook injected earlier, going by the records alone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.consumers import auth_server
from shared.consumers.kinds import SESSION_STORAGE
from shared.objects.field_path import is_hollow, read, top_above

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from shared.consumers.injection_record import InjectionRecord
    from shared.objects.field_path import Draft, Path
    from shared.objects.resources import Object

_BLOCKS: Final = (
    (SESSION_STORAGE, "provider"),
    *(((*server, *auth_server.REDIS), "addr") for server in auth_server.SERVERS.values()),
)
"""Objects of ToolHive's schemas, each with a field that it must have."""


def unchanged_fields(consumer: Object, records: Iterable[InjectionRecord]) -> set[Path]:
    """Name the injected fields that nobody has changed since; all others are the user's now."""
    return {path for record in records for path, value in record.fields.items() if read(consumer, path) == value}


def remove_fields(
    draft: Draft, records: Iterable[InjectionRecord], unchanged: Container[Path], kept: Container[Path] = ()
) -> None:
    """Remove the unchanged fields that the records list, except those to keep, and the parents created for them."""
    for record in records:
        for path in record.fields:
            if path in kept:
                continue
            if path in unchanged:
                draft.remove(path)
            _remove_empty_parents(draft, path, record.created)


def remove_incomplete(draft: Draft, created: Iterable[Path]) -> None:
    """Remove an object that was created for injected fields, and that ToolHive's schema refuses without them.

    What a user, or a default of the schema, has added to it goes too.
    """
    tops = tuple(created)
    for block, essential in _BLOCKS:
        is_ours = top_above(block, tops) is not None
        if is_ours and read(draft.obj, block) is not None and read(draft.obj, (*block, essential)) is None:
            draft.remove(block)
            _remove_empty_parents(draft, block, tops)


def remove_annotation(draft: Draft, path: Path) -> None:
    """Remove one annotation, and `metadata.annotations` with the last: the API server stores no empty one."""
    if read(draft.obj, path) is None:
        return
    draft.remove(path)
    if not read(draft.obj, path[:-1]):
        draft.remove(path[:-1])


def _remove_empty_parents(draft: Draft, path: Path, created: tuple[Path, ...]) -> None:
    """Remove the parents that were created to hold a field, innermost first, up to one that holds anything else."""
    for length in range(len(path) - 1, 0, -1):
        parent = path[:length]
        if top_above(parent, created) is None or not is_hollow(read(draft.obj, parent), parent[-1]):
            break
        draft.remove(parent)
