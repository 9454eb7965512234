"""Plays ToolHive's operator, and the kubelet of its pods, where there are no nodes.

It makes a Deployment and a StatefulSet of each MCPServer, as ToolHive does, with the annotations that the server asks
for; Kubernetes' own controllers roll them. It leaves out what has no credential: the backend of a server that refers to
no storage, and whose proxy runs an auth server. A pod's "process" is a set of clients. They connect from the pod's own
address with the password that its Secret held as the pod started, until the pod ends.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from shared import errors, names
from shared.consumers.auth_server import REDIS, SERVERS, external_auth_config_names
from shared.consumers.injection_record import InjectionRecord
from shared.consumers.kinds import KINDS, connection_secret_of
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.objects.field_path import read
from shared.objects.resources import (
    DEPLOYMENTS,
    MCP_EXTERNAL_AUTH_CONFIGS,
    MCP_SERVERS,
    PODS,
    SECRETS,
    STATEFUL_SETS,
    Key,
    Object,
    Resource,
    key_of,
)
from tests.integration import loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

STEADY: Final = 5
"""Number of connections of each pod that stay open and in use."""
COMING: Final = 2
"""Number of clients of each pod that connect anew again and again."""
RECONNECT_SECONDS: Final = 0.1
USE_SECONDS: Final = 0.01
_MANAGER: Final = "stand-in-for-toolhive"
_PASSWORD_OF_AUTH_SERVER: Final = (
    *SERVERS["MCPExternalAuthConfig"],
    *REDIS,
    "aclUserConfig",
    "passwordSecretRef",
    "name",
)
_ANNOTATIONS: Final = {
    DEPLOYMENTS: KINDS["MCPServer"].proxy_annotations,
    STATEFUL_SETS: KINDS["MCPServer"].backend_annotations,
}


@dataclass
class Tally:
    """The results of clients' logins and commands.

    Attributes:
        logins: Successful logins.
        commands: Commands with the expected answer.
        failures: Everything else that happened, as text.
    """

    logins: int = 0
    commands: int = 0
    failures: list[str] = field(default_factory=list)


class ToolHive:
    """Serves the MCPServers of one namespace.

    Attributes:
        tally: The results of all clients.
        stuck: Names of servers whose pods never become ready.
    """

    def __init__(self, cluster: Cluster, namespace: str, valkey: Callable[[], str]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._valkey = valkey
        self._numbers = itertools.count(1)
        self._pods: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        here = Selector(namespace)
        self._servers = Informer(cluster, MCP_SERVERS, self._on_server, selector=here)
        selector = Selector(namespace, labels="toolhive=true")
        self._pod_watch = Informer(cluster, PODS, self._on_pod, selector=selector)
        self.tally = Tally()
        self.stuck: set[str] = set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._servers.run())
            group.create_task(self._pod_watch.run())
            while True:
                await self._changed.wait()
                self._changed.clear()
                for server in list(self._servers.objects.values()):
                    for resource in _with_credential(server):
                        await self._apply(resource, server)

    async def _apply(self, resource: Resource, server: Object) -> None:
        namespace, name = key_of(server)
        path = _ANNOTATIONS[resource]
        labels = {"toolhive": "true", "app": name, "part": resource.kind}
        annotations = read(server, path or ()) or {}
        container = {"name": "x", "image": "x", "env": [{"name": "OF", "value": name}]}
        template: Any = {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": {"containers": [container]},
        }
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        if resource is STATEFUL_SETS:
            spec["serviceName"] = name
        body = {"metadata": {"namespace": namespace, "name": name}, "spec": spec}
        await self._cluster.apply(resource, body, field_manager=_MANAGER)

    def _on_server(self, old: Object | None, new: Object | None) -> None:
        self._changed.set()

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        gone = old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"])
        if old is not None and (gone or (new or old)["metadata"].get("deletionTimestamp")):
            self._stop(old["metadata"]["uid"])
        if new is not None and not new["metadata"].get("deletionTimestamp"):
            uid = new["metadata"]["uid"]
            if uid not in self._pods:
                self._pods[uid] = asyncio.ensure_future(self._live(new))

    def _stop(self, uid: str) -> None:
        if task := self._pods.get(uid):
            task.cancel()

    async def _live(self, pod: Object) -> None:
        """Play a pod: read the Secret, report that the pod is ready, and run its clients."""
        namespace, _ = key_of(pod)
        name = await self._secret_of((namespace, pod["metadata"]["labels"]["app"]))
        secret = await self._cluster.get(SECRETS, namespace, name)
        password = base64.b64decode(secret["data"][names.KEY_REDIS_PASSWORD]).decode()
        address = loopback.address(loopback.CLIENTS, next(self._numbers))
        async with asyncio.TaskGroup() as group:
            for _ in range(STEADY):
                group.create_task(self._stay(pod, address, password))
            for _ in range(COMING):
                group.create_task(self._come_again(pod, address, password))
            await self._report(pod, address)

    async def _secret_of(self, server: Key) -> str:
        """Name the Secret from which a server's pods have the password of the storage."""
        obj, (namespace, _) = self._servers.get(server), server
        if record := InjectionRecord.of(obj):
            return connection_secret_of(record.reference, namespace)
        (described,) = external_auth_config_names(obj or {})
        config = await self._cluster.get(MCP_EXTERNAL_AUTH_CONFIGS, namespace, described)
        return str(read(config, _PASSWORD_OF_AUTH_SERVER))

    async def _report(self, pod: Object, address: str) -> None:
        namespace, name = key_of(pod)
        is_ready = pod["metadata"]["labels"]["app"] not in self.stuck
        ready = {"type": "Ready", "status": str(is_ready), "lastTransitionTime": pod["metadata"]["creationTimestamp"]}
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]}
        body = {"metadata": {"namespace": namespace, "name": name}, "status": status}
        await self._cluster.apply(PODS, body, field_manager=_MANAGER, subresource="status")

    async def _stay(self, pod: Object, address: str, password: str) -> None:
        async with self._connected(pod, address, password) as connection:
            while True:
                await self._use(pod, connection)
                await asyncio.sleep(USE_SECONDS)

    async def _come_again(self, pod: Object, address: str, password: str) -> None:
        while True:
            async with self._connected(pod, address, password) as connection:
                await self._use(pod, connection)
            await asyncio.sleep(RECONNECT_SECONDS)

    @contextlib.asynccontextmanager
    async def _connected(self, pod: Object, address: str, password: str) -> AsyncIterator[Connection]:
        # The connection closes when the pod ends, even during the login.
        with contextlib.closing(await Connection.open(self._valkey(), address)) as connection:
            if await self._asked(pod, connection, f"AUTH {password}", "login"):
                self.tally.logins += 1
            yield connection

    async def _use(self, pod: Object, connection: Connection) -> None:
        if await self._asked(pod, connection, "SET thv:proxy:session:x y EX 60", "command"):
            self.tally.commands += 1

    async def _asked(self, pod: Object, connection: Connection, command: str, what: str) -> bool:
        answer = await connection.ask(command)
        if answer == "+OK":
            return True
        if await self._exists(pod):
            self.tally.failures.append(f"{what}: {answer[:40]}")
        await asyncio.sleep(1)  # otherwise a client would retry on a closed connection without a pause
        return False

    async def _exists(self, pod: Object) -> bool:
        """Return whether a pod still exists; on a busy machine the watch reports its end, and so ends clients, late."""
        namespace, name = key_of(pod)
        try:
            found = await self._cluster.get(PODS, namespace, name)
        except errors.NotFound:
            return False
        return bool(found["metadata"]["uid"] == pod["metadata"]["uid"])


def _with_credential(server: Object) -> Sequence[Resource]:
    """Name the kinds of workload of a server that read the password of a storage."""
    if InjectionRecord.of(server) is not None:
        return (DEPLOYMENTS, STATEFUL_SETS)
    return (DEPLOYMENTS,) if external_auth_config_names(server) else ()


@dataclass
class Connection:
    """A connection to Valkey from a chosen source address."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, host: str, address: str) -> Connection:
        return cls(*await asyncio.open_connection(host, names.VALKEY_PORT, local_addr=(address, 0)))

    async def ask(self, command: str) -> str:
        """Send a command and return the first line of the answer; empty if the connection was closed."""
        try:
            self.writer.write(f"{command}\r\n".encode())
            return (await self.reader.readline()).decode().strip()
        except OSError as error:
            return type(error).__name__

    def close(self) -> None:
        self.writer.close()
