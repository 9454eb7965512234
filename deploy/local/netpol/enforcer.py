"""Keeps every node's ruleset in line with the cluster: renders after changes, loads what became different."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from deploy.local.errors import StepFailed

# Changes come in bursts (the pods of one Deployment); 5 ms gather most of one and delay nobody.
DEBOUNCE_SECONDS: Final = 0.005
# A node's namespace may appear later than this process.
RETRY_SECONDS: Final = 1.0

Load: TypeAlias = Callable[[Path, str], Awaitable[None]]
"""Loads a ruleset into the network namespace behind a file, or raises StepFailed."""

_log = logging.getLogger(__name__)


class Enforcer:
    """Loads rulesets into nodes.

    Args:
        namespaces: File of each node's network namespace, by the node's name.
        render: Returns the ruleset that a node should have now, as text for `nft -f`.
        load: Loads such a ruleset into a node.
        retry_seconds: How long to wait after a load has failed.
    """

    def __init__(
        self,
        namespaces: Mapping[str, Path],
        render: Callable[[str], str],
        load: Load,
        *,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._namespaces = namespaces
        self._render = render
        self._load = load
        self._retry_seconds = retry_seconds
        self._loaded: dict[str, _Enforced] = {}
        self._changed = asyncio.Event()
        self._changed.set()

    def note_change(self, *_: object) -> None:
        """Note that something has changed; the next rendering reads what."""
        self._changed.set()

    async def run(self) -> None:
        """Enforce until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(DEBOUNCE_SECONDS)
            self._changed.clear()
            await asyncio.gather(*(self._enforce(node) for node in self._namespaces))

    async def _enforce(self, node: str) -> None:
        wanted = self._wanted(node)
        if self._loaded.get(node) == wanted:
            return
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await self._load(self._namespaces[node], wanted.text)
        except StepFailed as error:
            _log.warning("ruleset not loaded", extra={"node": node, "error": str(error)})
            loop.call_later(self._retry_seconds, self.note_change)
            return
        self._loaded[node] = wanted
        milliseconds = round((loop.time() - begun) * 1000)
        _log.info(
            "ruleset loaded", extra={"node": node, "lines": wanted.text.count("\n"), "milliseconds": milliseconds}
        )

    def _wanted(self, node: str) -> "_Enforced":
        return _Enforced(self._namespaces[node].resolve(), self._render(node))


class _Enforced(NamedTuple):
    """A ruleset, and the namespace that has it: a node that boots again has a new namespace, without rules."""

    namespace: Path
    text: str
