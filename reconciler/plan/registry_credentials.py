"""The copies of registry credentials beside a storage, by which kubelet pulls Valkey's image. Pure.

A pod can name Secrets of its own namespace alone, so each storage has copies of those in the release's namespace. They
follow their sources. If somebody deletes a source its copies stay: pods that start meanwhile need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Delete
from reconciler.manifests import secrets
from shared import names
from shared.objects.resources import SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.manifests.storage import Storage
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Object


def copies(state: StorageState, owner: Storage, sources: Sequence[str]) -> Iterator[Object]:
    """Build the copies of the sources that exist; not while a copy has to go first, because it has another type."""
    for source in _existing(state, sources):
        if not _has_another_type(state, source):
            yield secrets.pull_secret(owner, source)


def superfluous_copies(state: StorageState, sources: Sequence[str]) -> Iterator[Delete]:
    """Delete the copies that no pod is to name, and those of another type than their source, which cannot change."""
    storage = state.storage.name
    named = {names.pull_secret(storage, source) for source in sources}
    changed = {_copy_of(state, source) for source in _existing(state, sources) if _has_another_type(state, source)}
    for (plural, name), secret in state.children.items():
        is_copy = plural == SECRETS.plural and names.is_pull_secret(storage, name)
        if is_copy and (name not in named or name in changed):
            yield Delete.of(SECRETS, secret)


def _existing(state: StorageState, sources: Sequence[str]) -> Iterator[Object]:
    return (state.pull_sources[name] for name in sources if name in state.pull_sources)


def _copy_of(state: StorageState, source: Object) -> str:
    return names.pull_secret(state.storage.name, source["metadata"]["name"])


def _has_another_type(state: StorageState, source: Object) -> bool:
    present = state.child(SECRETS, _copy_of(state, source))
    return present is not None and present.get("type") != source.get("type")
