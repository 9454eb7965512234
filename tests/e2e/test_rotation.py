"""Passwords change under load, with real proxies and open MCP sessions, and no client notices."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.demo.errors import CommandFailed, NotInTime, SessionLost, Surprise
from deploy.demo.kube import Kube, Object, until
from deploy.demo.proxies import MCP_REMOTE_PROXY, Proxies, is_ready
from deploy.demo.storages import KIND
from reconciler.credentials import identities
from reconciler.credentials.identities import CONSUMER, OPERATOR
from shared import names
from shared.objects.timestamps import read_time
from tests.e2e import auth_servers, clients
from tests.e2e.conftest import Run
from tests.e2e.consumers import TOOL
from tests.e2e.leader import kill_leader
from tests.e2e.namespaces import ROTATION
from tests.e2e.storages import await_ready, read, secret, server, storage

ORIGIN: Final = "origin"
REMOTES: Final = {"small": 1, "medium": 2, "medium-ten": 9}
"""By storage: how many remote proxies forward to a server, which is a consumer too."""
HOSTS: Final = {"small": 1, "medium": 0, "medium-ten": 0}
"""By storage: how many servers run an auth server that keeps its data there; they refer to no storage themselves."""
ROTATION_SECONDS: Final = 900
SESSION_SECONDS: Final = 60
"""Seconds for which a session may pause: a backend with one replica is away while it restarts, and so is its proxy."""
PROGRAM: Final = Path(__file__).with_name("load.py").read_text()
PHASES: Final = ("Pending", "Added", "Published", "AwaitConsumers", "Discarding")
SIZES: Final = ("small", *(pytest.param(size, marks=pytest.mark.drill) for size in ("medium", "medium-ten")))
"""Names of the storages; each begins with its size."""


@pytest.fixture(scope="module")
def rotated(run: Run, request: pytest.FixtureRequest) -> str:
    """Create a storage of a size with running consumers, and return its name."""
    size: str = request.param
    kube = run.kube
    origin = f"{ORIGIN}-{size}"
    kube.apply(storage(size, ROTATION, size=size.partition("-")[0]))
    await_ready(kube, ROTATION, size)
    kube.apply(
        server(origin, ROTATION, run.images.mcp_server, sessionStorageRef=size),
        *(remote(f"remote-{size}-{number}", origin, size) for number in range(REMOTES[size])),
        *(
            each
            for host in hosts(kube, size)
            for each in auth_servers.auth_server(host.server, ROTATION, run.images.mcp_server, size)
        ),
    )
    for proxies in all_proxies(kube, size):
        proxies.await_ready(1)
    return size


def remote(name: str, origin: str, size: str) -> Object:
    spec = {"remoteUrl": f"http://mcp-{origin}-proxy.{ROTATION}.svc:8080/mcp", "sessionStorageRef": size}
    metadata = {"name": name, "namespace": ROTATION}
    return {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": "MCPRemoteProxy", "metadata": metadata, "spec": spec}


def all_proxies(kube: Kube, size: str) -> list[Proxies]:
    of_remotes = (Proxies(kube, f"remote-{size}-{n}", ROTATION, MCP_REMOTE_PROXY) for n in range(REMOTES[size]))
    return [Proxies(kube, f"{ORIGIN}-{size}", ROTATION), *of_remotes, *hosts(kube, size)]


def hosts(kube: Kube, size: str) -> list[Proxies]:
    """List the proxies that run the auth servers of a storage."""
    return [Proxies(kube, f"login-{size}-{number}", ROTATION) for number in range(HOSTS[size])]


@dataclass(frozen=True)
class LoadPod:
    """A pod of no consumer, with 200 connections in steady use and 50 clients that connect anew."""

    kube: Kube
    name: str

    def start(self, run: Run, size: str) -> None:
        pod = clients.client(self.name, ROTATION, run.images, f"{size}-connection")
        pod["metadata"]["labels"] = {**clients.PROXY_LABELS, names.LABEL_CONSUMER_OF: size}
        host = {"VALKEY_HOST": f"{size}-valkey.{ROTATION}.svc"}
        self.kube.apply(clients.program(pod, run.images, ["python", "-c", PROGRAM], host))
        until(f"{self.name} is busy", lambda: self.tally().get("commands", 0) > 1000, 120)

    def stop(self) -> dict[str, Any]:
        """End the pod in order, and return its results."""
        clients.end(self.kube, self.name, ROTATION, self._phase)
        return self.tally()

    def tally(self) -> dict[str, Any]:
        lines = self.kube.run("logs", self.name, "--tail=1", namespace=ROTATION).strip() if self._has_begun() else ""
        tally: dict[str, Any] = json.loads(lines) if lines.startswith("{") else {}
        return tally

    def _has_begun(self) -> bool:
        return self._phase() not in {"", "Pending"}

    def _phase(self) -> str:
        pod = self.kube.get("pod", self.name, ROTATION)
        return pod["status"].get("phase", "") if pod is not None else ""


@contextmanager
def session_in_use(kube: Kube, size: str) -> Iterator[list[str]]:
    """Use an MCP session until the block ends, through any proxy that is ready; collect the errors."""
    proxies = Proxies(kube, f"{ORIGIN}-{size}", ROTATION)
    session, _ = proxies.open(proxies.await_ready(1)[0], TOOL)
    ended, lost = threading.Event(), list[str]()

    def use() -> None:
        while not ended.wait(1):
            try:
                until("the session goes on", lambda: call() or None, SESSION_SECONDS)
            except NotInTime as surprise:
                lost.append(str(surprise))

    def call() -> bool:
        # A proxy that is ending, or whose backend restarts, answers with an error: its client asks again.
        with contextlib.suppress(SessionLost, Surprise, CommandFailed):
            ready = [pod["metadata"]["name"] for pod in proxies.pods() if is_ready(pod)]
            return bool(proxies.call(ready[0], session, TOOL)) if ready else False
        return False

    thread = threading.Thread(target=use)
    thread.start()
    try:
        yield lost
    finally:
        ended.set()
        thread.join()


def annotate(kube: Kube, size: str, value: str) -> None:
    kube.run("annotate", KIND, size, f"{names.ANNOTATION_ROTATE}={value}", "--overwrite", namespace=ROTATION)


def phase(kube: Kube, size: str) -> str:
    status = read(kube, KIND, size, ROTATION).get("status", {})
    found: str = status.get("rotation", {}).get("phase", "")
    return found


def is_in(kube: Kube, size: str, phases: tuple[str, ...]) -> bool:
    return phase(kube, size) in phases


def record(kube: Kube, size: str) -> dict[str, str]:
    auth = read(kube, "secret", f"{size}-auth", ROTATION)
    found: dict[str, str] = json.loads(auth["metadata"].get("annotations", {}).get(names.ANNOTATION_ROTATION, "{}"))
    return found


def is_over(kube: Kube, size: str, word: str) -> bool:
    written = record(kube, size)
    return written.get("handled") == word and "ended" in written and phase(kube, size) == "Discarded"


@pytest.mark.parametrize("rotated", SIZES, indirect=True)
def test_no_client_notices_that_passwords_change(run: Run, rotated: str, figures: list[str]) -> None:
    kube, size = run.kube, rotated
    old = secret(kube, f"{size}-auth", ROTATION)
    before, after = LoadPod(kube, f"load-{size}-before"), LoadPod(kube, f"load-{size}-after")
    before.start(run, size)
    with auth_servers.registered_clients(hosts(kube, size)), session_in_use(kube, size) as lost:
        begun = time.monotonic()
        annotate(kube, size, "one")
        until("consumers are to restart", lambda: phase(kube, size) == "AwaitConsumers", 60)
        # Only this test can restart the pods of the load. Pods' times are in whole seconds.
        published = read_time(record(kube, size)["published"])
        assert published is not None
        until("a second has passed", lambda: datetime.now(UTC) - published > timedelta(seconds=1), 10)
        after.start(run, size)
        seen = [before.stop()]
        until("the rotation is over", lambda: is_over(kube, size, "one"), ROTATION_SECONDS)
        took = time.monotonic() - begun
    seen.append(after.stop())
    rotation = read(kube, KIND, size, ROTATION)["status"]["rotation"]
    logins, commands = (sum(tally[what] for tally in seen) for what in ("logins", "commands"))
    figures.append(
        f"rotation ({size}, {rotation['consumersTotal']} consumers): {took:.0f} s from annotation to Discarded,"
        f" {logins} logins, {commands} commands, {sum(tally['failures'] for tally in seen)} failures"
    )
    assert [tally["said"] for tally in seen] == [[], []]
    assert lost == []
    assert rotation["consumersDone"] == rotation["consumersTotal"] == len(all_proxies(kube, size))
    assert_gone(run, size, old)


def assert_gone(run: Run, size: str, old: dict[str, str]) -> None:
    """Check that no former password is left."""
    everything = str([identities.decoded(found.get("data")) for found in run.kube.items("secrets")])
    assert sum(old[key] in everything for key in identities.PASSWORD_KEYS) == 0
    assert "WRONGPASS" in ask(run, size, old["password"], "ping")


def ask(run: Run, size: str, password: str, command: str) -> str:
    """Log in to Valkey from a pod of no consumer, and return its answer; no command line shows the password."""
    asker = f"asker-{size}"
    run.kube.apply(clients.client(asker, ROTATION, run.images))
    clients.await_client(run.kube, asker, ROTATION)
    asked = f"read password; REDISCLI_AUTH=$password valkey-cli -h {size}-valkey.{ROTATION}.svc {command} 2>&1 || true"
    return run.kube.run("exec", "-i", asker, "--", "sh", "-c", asked, stdin=f"{password}\n", namespace=ROTATION)


@pytest.mark.parametrize("rotated", SIZES[:1], indirect=True)
def test_a_storage_keeps_what_an_auth_server_knows(run: Run, rotated: str) -> None:
    """Takes about three seconds."""
    kube, size, (host,) = run.kube, rotated, hosts(run.kube, rotated)
    described = read(kube, "mcpexternalauthconfigs", host.server, ROTATION)["spec"]["embeddedAuthServer"]
    redis = described["storage"]["redis"]
    assert (described["storage"]["type"], redis["addr"]) == ("redis", f"{size}-valkey.{ROTATION}.svc:6379")
    assert redis["aclUserConfig"]["passwordSecretRef"]["name"] == f"{size}-connection"
    key = f"thv:auth:{{{ROTATION}:{host.server}}}:client:{auth_servers.register(host)}"
    passwords = secret(kube, f"{size}-auth", ROTATION)
    assert ask(run, size, passwords[CONSUMER.key], f"exists '{key}'").split() == ["1"]
    policy = f"--user {OPERATOR.user} config get maxmemory-policy"
    assert ask(run, size, passwords[OPERATOR.key], policy).split() == ["maxmemory-policy", "volatile-lru"]


@pytest.mark.parametrize("rotated", SIZES[:1], indirect=True)
@pytest.mark.parametrize(
    "phases", [("AwaitConsumers",), pytest.param(PHASES, marks=pytest.mark.drill)], ids=["one phase", "every phase"]
)
def test_the_leader_may_die_in_the_middle(run: Run, rotated: str, phases: tuple[str, ...], figures: list[str]) -> None:
    """A phase may be too short for the test to see it: then the leader dies in the next one."""
    kube, size, word = run.kube, rotated, f"killed-{len(phases)}"
    begun = time.monotonic()
    annotate(kube, size, word)
    until("the rotation has begun", lambda: phase(kube, size) in PHASES, 60)
    for seen in phases:
        reached = (*PHASES[PHASES.index(seen) :], "Discarded")
        until(f"the rotation is as far as {seen}", partial(is_in, kube, size, reached), 300)
        kill_leader(run)
    until("the rotation is over", lambda: is_over(kube, size, word), ROTATION_SECONDS)
    handed_out = secret(kube, f"{size}-connection", ROTATION)["REDIS_PASSWORD"]
    assert handed_out == secret(kube, f"{size}-auth", ROTATION)["password"]
    for proxies in all_proxies(kube, size):
        proxies.await_ready(1)
    figures.append(f"leader killed in {', '.join(phases)}: the rotation over after {time.monotonic() - begun:.0f} s")
