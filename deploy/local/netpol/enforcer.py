"""Keeps every node's ruleset in line with the cluster: renders after changes, loads what became different."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from deploy.local.errors import StepFailed

# Changes come in bursts (the pods of one Deployment); 5 ms gather most of one and delay nobody.
DEBOUNCE_SECONDS: Final = 0.005
# A node's namespace may come later than this process.
RETRY_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Enforcer:
    """Loads rulesets into nodes.

    Args:
        nodes: Names of the nodes.
        render: Gives the text that a node should have now.
        load: Brings a text into a node, or raises StepFailed.
        retry_seconds: When to try again after that.
    """

    def __init__(
        self,
        nodes: Sequence[str],
        render: Callable[[str], str],
        load: Callable[[str, str], Awaitable[None]],
        *,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._nodes = nodes
        self._render = render
        self._load = load
        self._retry_seconds = retry_seconds
        self._loaded: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._changed.set()

    def note_change(self, *_: object) -> None:
        """Take in that something changed; what it was is seen when rendering."""
        self._changed.set()

    async def run(self) -> None:
        """Enforce until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(DEBOUNCE_SECONDS)
            self._changed.clear()
            await asyncio.gather(*(self._bring(node) for node in self._nodes))

    async def _bring(self, node: str) -> None:
        text = self._render(node)
        if self._loaded.get(node) == text:
            return
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await self._load(node, text)
        except StepFailed as error:
            _log.warning("ruleset not loaded", extra={"node": node, "error": str(error)})
            loop.call_later(self._retry_seconds, self.note_change)
            return
        self._loaded[node] = text
        milliseconds = round((loop.time() - begun) * 1000)
        _log.info("ruleset loaded", extra={"node": node, "lines": text.count("\n"), "milliseconds": milliseconds})
