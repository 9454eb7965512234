"""Restarts what runs an auth server, when that server's credential changes. Pure.

The auth server reads its password as its pod starts, and the pod belongs to an object that may refer to another
storage, or to none. So the reconciler stamps that object with an annotation of its own, and the webhook copies the
revision into the pod template of the proxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consumers.credential_revision import CredentialRevision
from shared.consumers.kinds import KINDS
from shared.names import ANNOTATION_AUTH_REVISION
from shared.objects.field_path import Draft, Path, read

if TYPE_CHECKING:
    from shared.objects.resources import Object


def stamp_pods(draft: Draft) -> None:
    """Give the proxy's pods the revision that the object has, or take the revision out if the object has none.

    Raises:
        InvalidSpec: What is above the annotation in the pod template is no object.
    """
    path = _pod_annotation(draft.obj)
    if path is None:
        return
    current = CredentialRevision.of(draft.obj, ANNOTATION_AUTH_REVISION)
    if current is None:
        draft.remove(path)
    elif read(draft.obj, path) != current.revision:
        draft.put(path, current.revision)


def _pod_annotation(host: Object) -> Path | None:
    kind = KINDS.get(str(host.get("kind")))
    if kind is None or kind.proxy_annotations is None:
        return None
    return (*kind.proxy_annotations, ANNOTATION_AUTH_REVISION)
