"""Builds the ConfigMap that instances read as they start. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifests import valkey_config
from shared import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.manifests.storage import Storage
    from shared.objects.resources import Object


def config_map(storage: Storage, primary: int, instances: Sequence[int]) -> Object:
    """Build the ConfigMap that instances read as they start.

    Args:
        storage: Whose.
        primary: Number of the primary.
        instances: Numbers of all instances that there are to be.
    """
    data = {valkey_config.CONFIG_FILE: valkey_config.valkey_conf(), **valkey_config.topology(primary, instances)}
    return {"metadata": storage.metadata(names.valkey(storage.name)), "data": data}
