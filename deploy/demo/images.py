"""Which images the demonstration runs; on a cluster of the user's own they may have other names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import yaml

from deploy.local import images, paths

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Images:
    """Names of images that the cluster's nodes have or can pull.

    Attributes:
        product: Image of the webhook and the reconciler.
        valkey: Image of the Valkey that storages run.
        mcp_server: Image of an MCP server that counts in each session.
    """

    product: str
    valkey: str
    mcp_server: str

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Take the names from PRODUCT_IMAGE, VALKEY_IMAGE and MCP_IMAGE, or else those of the local cluster.

        On other clusters, Valkey's image is the chart's unless VALKEY_IMAGE names one.
        """
        valkey = images.VALKEY if paths.is_local(environ) else _valkey_of_chart()
        return cls(
            product=environ.get("PRODUCT_IMAGE", images.PRODUCT),
            valkey=environ.get("VALKEY_IMAGE", valkey),
            mcp_server=environ.get("MCP_IMAGE", images.MCP_DEMO),
        )

    def variables(self) -> dict[str, str]:
        """Return each image by the environment variable that names it."""
        return {"PRODUCT_IMAGE": self.product, "VALKEY_IMAGE": self.valkey, "MCP_IMAGE": self.mcp_server}

    def chart_values(self) -> list[str]:
        """Write the Helm options that set the images."""
        repository, _, tag = self.product.rpartition(":")
        return [f"--set=image.repository={repository},image.tag={tag},valkey.image={self.valkey}"]


def _valkey_of_chart() -> str:
    values = yaml.safe_load((paths.REPOSITORY / "deploy" / "chart" / "values.yaml").read_text())
    image: str = values["valkey"]["image"]
    return image
