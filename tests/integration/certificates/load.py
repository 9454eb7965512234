"""Users at work: creates through the API server at a constant rate, whether or not it answered the last ones."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from shared import tls

if TYPE_CHECKING:
    from shared.objects.resources import Object

PER_SECOND = 60.0
REQUEST_SECONDS = 20.0
GROUP = "/apis/toolhive.stacklok.dev"
EXTERNAL = {"url": "redis://there:6379"}
"""Without `secretRef`: the webhook would ask the API server for the author's rights, and a drill takes that away."""


@dataclass(frozen=True)
class Failure:
    """One create that was not admitted."""

    asked: float
    answered: float
    said: str


@dataclass
class Tally:
    """The results of the creates of a drill."""

    begun: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    admitted: int = 0
    failures: list[Failure] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def rate(self) -> float:
        return self.admitted / (self.ended - self.begun)

    @property
    def outage_seconds(self) -> float:
        """Seconds from the request of the first failed create to the answer of the last one."""
        if not self.failures:
            return 0.0
        return max(failure.answered for failure in self.failures) - min(failure.asked for failure in self.failures)

    def __str__(self) -> str:
        failed = f"{len(self.failures)} failed within {self.outage_seconds:.2f} s" if self.failures else "none failed"
        span = self.ended - self.begun
        return f"{self.admitted} creates in {span:.1f} s ({self.rate:.0f}/s), {failed}, slowest {self.slowest:.2f} s"


class Load:
    """Creates objects again and again, and counts the results on request.

    Every create runs all of admission and stores nothing (dryRun=All); half of them are SessionStorages, half are
    MCPServers that refer to one.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        self._server = config["clusters"][0]["cluster"]["server"]
        self._tls = _tls(config)
        self._tallies: list[Tally] = []
        self._asked: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls, limit=0)) as session:
            start = clock()
            for number in itertools.count():
                await asyncio.sleep(start + number / PER_SECOND - clock())
                task = asyncio.ensure_future(self._create(session, number))
                self._asked.add(task)
                task.add_done_callback(self._asked.discard)

    def begin(self) -> Tally:
        """Count from now on."""
        tally = Tally()
        self._tallies.append(tally)
        return tally

    async def end(self, tally: Tally) -> None:
        """Stop counting once the API server has answered everything that was asked for by now."""
        tally.ended = time.monotonic()
        await asyncio.gather(*self._asked)
        self._tallies.remove(tally)

    async def _create(self, session: aiohttp.ClientSession, number: int) -> None:
        path, body = _storage(number) if number % 2 else _server(number)
        counting = list(self._tallies)
        asked, said = time.monotonic(), ""
        try:
            async with session.post(
                f"{self._server}{GROUP}/{path}?dryRun=All", json=body, timeout=aiohttp.ClientTimeout(REQUEST_SECONDS)
            ) as response:
                answer = await response.read()
                if response.status != 201:
                    said = f"{response.status}: {answer.decode(errors='replace')[:2000]}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            said = f"{type(error).__name__}: {error}"
        answered = time.monotonic()
        for tally in counting:
            tally.slowest = max(tally.slowest, answered - asked)
            if said:
                tally.failures.append(Failure(asked, answered, said))
            else:
                tally.admitted += 1


def _storage(number: int) -> tuple[str, Object]:
    metadata = {"name": f"load-{number}", "namespace": "default"}
    body = {"apiVersion": "toolhive.stacklok.dev/v1alpha1", "kind": "SessionStorage", "metadata": metadata}
    return "v1alpha1/namespaces/default/sessionstorages", {**body, "spec": {"external": EXTERNAL}}


def _server(number: int) -> tuple[str, Object]:
    annotations = {"toolhive.stacklok.dev/session-storage": "mine"}
    metadata = {"name": f"load-{number}", "namespace": "default", "annotations": annotations}
    body = {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": "MCPServer", "metadata": metadata}
    return "v1beta1/namespaces/default/mcpservers", {**body, "spec": {"image": "mcp:latest"}}


def _tls(config: Object) -> ssl.SSLContext:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = tls.client_context(cadata=_decoded(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
        pem.flush()
        context.load_cert_chain(pem.name)
    return context


def _decoded(data: str) -> bytes:
    return base64.b64decode(data)
