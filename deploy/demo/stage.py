"""What every step of the story has at hand."""

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
STORAGE: Final = "demo-storage"
SERVER: Final = "counter"


@dataclass(frozen=True)
class Stage:
    """The cluster, its images, and whom to tell."""

    kube: Kube
    images: Images
    narrator: Narrator
