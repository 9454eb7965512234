"""Cuts pods off from everybody, each for as long as its drill needs; several drills may cut at the same time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.chaos import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
                self._change(node, lambda known, address=address: known | {address})
            yield
        finally:
            for node, address in cut:
                self._change(node, lambda known, address=address: known - {address})

    def _change(self, node: str, change: Callable[[set[str]], set[str]]) -> None:
        with self._lock:
            self._addresses[node] = change(self._addresses.get(node, set()))
            self._drop(node, "".join(map(nodes.drops_around, sorted(self._addresses[node]))))
