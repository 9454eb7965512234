"""What every step of the story uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from deploy.demo.images import Images
    from deploy.demo.kube import Kube
    from deploy.demo.narrator import Narrator

NAMESPACE: Final = "session-storage-demo"
EXTERNAL_NAMESPACE: Final = "session-storage-demo-external"
"""The proposal calls two servers `my-server`; the one with an external storage lives here."""
STORAGE: Final = "sessions"
SERVER: Final = "fetch"
"""The README's first example calls its storage and its server so."""


@dataclass(frozen=True)
class Stage:
    """The cluster, its images, and the narrator."""

    kube: Kube
    images: Images
    narrator: Narrator
