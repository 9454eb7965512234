"""Loads manifests as they are printed, and adds what they need here: a namespace, and images that nodes have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from deploy.local import paths

if TYPE_CHECKING:
    from deploy.demo.images import Images
    from deploy.demo.kube import Object

SAMPLES: Final = paths.REPOSITORY / "deploy" / "samples"
QUICKSTART: Final = SAMPLES / "00-quickstart.yaml"
"""The README's first example, word for word."""
PROPOSAL: Final = tuple(sorted(set(SAMPLES.glob("*.yaml")) - {QUICKSTART}))
"""The manifests that the proposal prints, word for word."""
OWN: Final = Path(__file__).with_name("manifests")
VALKEY_PLACEHOLDER: Final = "valkey:latest"


def load(manifest: Path, images: Images, namespace: str = "") -> list[Object]:
    """Read a manifest, and change two things in it: the namespace of objects that name none, and images.

    Every MCPServer gets the image of the demonstration's server; the local cluster's nodes can pull no other.
    """
    text = manifest.read_text().replace(VALKEY_PLACEHOLDER, images.valkey)
    return [placed(with_image(document, images), namespace) for document in yaml.safe_load_all(text)]


def with_image(obj: Object, images: Images) -> Object:
    """Replace the image of an MCPServer; leave every other object as it is."""
    return {**obj, "spec": {**obj["spec"], "image": images.mcp_server}} if obj["kind"] == "MCPServer" else obj


def placed(obj: Object, namespace: str) -> Object:
    """Put an object into a namespace, unless it names one."""
    if not namespace:
        return obj
    return {**obj, "metadata": {"namespace": namespace, **obj["metadata"]}}
