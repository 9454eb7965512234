"""How the caches of each kind that grows with storages and consumers keep its objects: as bytes, and trimmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.state import kept_objects
from reconciler.state.owned_objects import CHILD_RESOURCES
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.kubernetes.keeping import Keeping, PackedObjects
from shared.objects.resources import PODS, SESSION_STORAGES, VOLUME_CLAIMS

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHILD: Final = Keeping(kept_objects.child, PackedObjects)
_DECLARED: Final = Keeping(kept_objects.declared, PackedObjects)
KEEPING: Final[Mapping[str, Keeping]] = {
    **{resource.plural: _CHILD for resource in (*CHILD_RESOURCES, VOLUME_CLAIMS)},
    **{resource.plural: _DECLARED for resource in (SESSION_STORAGES, *CONSUMER_RESOURCES)},
    PODS.plural: Keeping(kept_objects.pod, PackedObjects),
}
"""By the plural of the kind."""
