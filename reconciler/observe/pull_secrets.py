"""Watches the Secrets with registry credentials that the installation names, in the release's namespace."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.kubernetes.client import Selector
from shared.kubernetes.namespaces import JoinedInformer
from shared.objects.resources import SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from shared.kubernetes.client import Cluster
    from shared.objects.resources import Object

_log = logging.getLogger(__name__)


class PullSecrets:
    """Knows the registry credentials that each storage has copies of.

    Each of these Secrets has a watch of its own: rights may allow no other, and they are few.
    """

    def __init__(self, cluster: Cluster, namespace: str, sources: Sequence[str], on_change: Callable[[], None]) -> None:
        """Take the Secrets' namespace and names, and what to do when one of them changes."""
        selectors = {name: Selector(namespace=namespace, fields=f"metadata.name={name}") for name in sources}
        self._cache = JoinedInformer(cluster, SECRETS, selectors, lambda _, __: on_change())
        self._namespace, self._sources = namespace, sources

    def found(self) -> Mapping[str, Object]:
        """Return those that exist, by name."""
        return {name: secret for (_, name), secret in self._cache.objects.items()}

    async def run(self) -> None:
        """Watch them until cancelled."""
        await self._cache.run()

    async def known(self) -> None:
        """Wait until the first list of each has arrived, and log which of them do not exist."""
        if self._sources:
            await self._cache.synced.wait()
        for name in sorted(set(self._sources) - self.found().keys()):
            extra = {"secret": name, "namespace": self._namespace}
            _log.warning("a Secret with registry credentials does not exist, so no storage gets a copy", extra=extra)
