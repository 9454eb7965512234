"""Takes out of a consumer what the webhook injected earlier, going by the records alone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consumers.injection_record import RECORD_PATH
from shared.consumers.store_block import BLOCKS, MEMORY
from shared.objects.field_path import is_hollow, read, top_above

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from shared.consumers.injection_record import InjectionRecord
    from shared.objects.field_path import Draft, Path
    from shared.objects.resources import Object


def unchanged_fields(consumer: Object, records: Iterable[InjectionRecord]) -> set[Path]:
    """Name the injected fields that nobody has changed since; all others are the user's now."""
    return {path for record in records for path, value in record.fields.items() if read(consumer, path) == value}


def stated_fields(
    consumer: Object, records: Sequence[InjectionRecord], unchanged: Container[Path], required: Container[Path]
) -> set[Path]:
    """Name the unchanged fields that are the user's all the same, because they belong to a store that the user states.

    A patch, or an edit of the stored object, leaves our fields beside the user's: of those stay what ToolHive's schema
    demands. A manifest that somebody wrote anew lacks our record: then all of the store is its author's, even what
    equals ours. Where the consumer has to use the storage for which we injected the fields, nothing stays.

    Args:
        consumer: Of any kind.
        records: What was injected.
        unchanged: The injected fields that nobody has changed since.
        required: Fields by which the consumer uses its storage.
    """
    text = read(consumer, RECORD_PATH)
    # The reconciler writes what is no record in its place, to have the stored object admitted again.
    is_anew = text is None or any(record.source == text for record in records)
    recorded = {path for record in records for path in record.fields}
    stated: set[Path] = set()
    for block in BLOCKS:
        if block.kind not in required and block.is_users(consumer, recorded, unchanged):
            stated.update(block.needed(consumer))
            missing = [record for record in records if is_anew and record.source != text]
            stated.update(path for record in missing for path in record.fields if top_above(path, (block.path,)))
    return stated


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


def complete(draft: Draft, records: Sequence[InjectionRecord]) -> dict[Path, str]:
    """Have what says where data is kept say `memory`, if it describes no store any more: the schema refuses it else.

    A user's own fields stay, such as a key prefix, but for those that the schema refuses without a store. An object
    that was created for injected fields goes if nobody else has put anything into it.

    Args:
        draft: The consumer, without the injected fields that had to go.
        records: What was injected; where this function has set `memory` before, it does so again.

    Returns:
        The fields that were set.

    Raises:
        InvalidSpec: What is above such a field is no object.
    """
    tops = [path for record in records for path in record.created]
    put: dict[Path, str] = {}
    for block in BLOCKS:
        was_put = any(record.fields.get(block.kind) == MEMORY for record in records)
        is_bare = was_put and read(draft.obj, block.kind) is None
        if not (is_bare or block.is_incomplete(draft.obj)):
            continue
        for path in block.unfit:
            draft.remove(path)
        _remove_empty_parents(draft, block.kind, tops)
        present = read(draft.obj, block.kind)
        must_say_so = is_bare or block.must_have_kind or present is not None
        if isinstance(read(draft.obj, block.path), dict) and must_say_so and present != MEMORY:
            draft.put(block.kind, MEMORY)
            put[block.kind] = MEMORY
    return put


def remove_annotation(draft: Draft, path: Path) -> None:
    """Remove one annotation, and `metadata.annotations` with the last: the API server stores no empty one."""
    if read(draft.obj, path) is None:
        return
    draft.remove(path)
    if not read(draft.obj, path[:-1]):
        draft.remove(path[:-1])


def _remove_empty_parents(draft: Draft, path: Path, created: Sequence[Path]) -> None:
    """Remove the parents that were created to hold a field, innermost first, up to one that holds anything else."""
    for length in range(len(path) - 1, 0, -1):
        parent = path[:length]
        if top_above(parent, created) is None or not is_hollow(read(draft.obj, parent), parent[-1]):
            break
        draft.remove(parent)
