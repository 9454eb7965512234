"""Manifests as they are printed, and what it takes to run them here: a namespace, and images that exist."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from deploy.local import paths

if TYPE_CHECKING:
    from deploy.demo.images import Images
    from deploy.demo.kube import Object

SAMPLES: Final = paths.REPOSITORY / "deploy" / "samples"
OWN: Final = Path(__file__).with_name("manifests")
MCP_PLACEHOLDER: Final = "my-mcp:latest"
VALKEY_PLACEHOLDER: Final = "valkey:latest"


def load(manifest: Path, images: Images, namespace: str = "") -> list[Object]:
    """Read a manifest; objects that name no namespace go into the given one, placeholders become images."""
    text = manifest.read_text().replace(MCP_PLACEHOLDER, images.mcp_server).replace(VALKEY_PLACEHOLDER, images.valkey)
    return [placed(document, namespace) for document in yaml.safe_load_all(text)]


def placed(obj: Object, namespace: str) -> Object:
    """Put an object into a namespace, unless it names one."""
    if not namespace:
        return obj
    return {**obj, "metadata": {"namespace": namespace, **obj["metadata"]}}
