"""Cuts pods off from everybody, each for as long as its drill needs; several drills may cut at the same time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.chaos import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from deploy.demo.kube import Object


class Cuts:
    """All pods that are cut off now. A node has one table of rules, which the drills share."""

    def __init__(self, drop: Callable[[str, str], None] = nodes.drop) -> None:
        """Take what makes a node drop packets by rules."""
        self._drop = drop
        self._lock = threading.Lock()
        self._addresses: dict[str, set[str]] = {}

    @contextmanager
    def around(self, pods: Iterable[Object]) -> Iterator[None]:
        """Drop all packets of these pods until the block ends; only their own kubelets reach them."""
        cut = [(pod["spec"]["nodeName"], pod["status"]["podIP"]) for pod in pods]
        try:
            for node, address in cut:
                self._set(node, add={address})
            yield
        finally:
            for node, address in cut:
                self._set(node, remove={address})

    def _set(self, node: str, *, add: AbstractSet[str] = frozenset(), remove: AbstractSet[str] = frozenset()) -> None:
        with self._lock:
            self._addresses[node] = (self._addresses.get(node, set()) | add) - remove
            self._drop(node, "".join(map(nodes.drops_around, sorted(self._addresses[node]))))
