"""The local cluster's NetworkPolicy enforcement against a real API server, which goes away and comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.local.netpol.__main__ import enforce
from shared.objects.resources import NETWORK_POLICIES, PODS

if TYPE_CHECKING:
    from shared.kubernetes.client import Cluster

NODE = "netpol-node"
WAIT_SECONDS = 20


class Relay:
    """Relays between a client and the API server; a test can cut it."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        await asyncio.gather(self._pump(reader, upstream_writer), self._pump(upstream_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self._writers.discard(writer)


class Rulesets:
    """The rulesets that a node was given to enforce, the latest last."""

    def __init__(self) -> None:
        self._loads: asyncio.Queue[str] = asyncio.Queue()

    async def load(self, _: Path, text: str) -> None:
        await self._loads.put(text)

    async def first_where(self, condition: Callable[[str], bool]) -> str:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition(text := await self._loads.get()):
                pass
        return text


def through(relay: Relay, kubeconfig: Path, directory: Path) -> str:
    """Write a kubeconfig with the relay's address."""
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{relay.port}"
    relayed = directory / "kubeconfig"
    relayed.write_text(yaml.safe_dump(config))
    return str(relayed)


@pytest.fixture
def upstream_port(kubeconfig: Path) -> int:
    server: str = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    return urlsplit(server).port or 443


@pytest.fixture
async def relay(upstream_port: int) -> AsyncIterator[Relay]:
    relay = Relay(upstream_port)
    await relay.open()
    yield relay
    await relay.cut()


@pytest.fixture
async def rulesets(kubeconfig: Path, relay: Relay, tmp_path: Path) -> AsyncIterator[Rulesets]:
    rulesets = Rulesets()
    enforcing = asyncio.create_task(
        enforce(through(relay, kubeconfig, tmp_path), {NODE: tmp_path / "namespace"}, rulesets.load)
    )
    yield rulesets
    enforcing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await enforcing


def a_policy(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": "closed"},
        "spec": {"podSelector": {"matchLabels": {"app": "server"}}},
    }


async def a_running_pod(cluster: Cluster, namespace: str, address: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": f"pod-{address}", "labels": {"app": "server"}},
        "spec": {
            "nodeName": NODE,
            # No kubelet is there to confirm the pod's end.
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "server", "image": "localhost/none"}],
        },
    }
    created = await cluster.create(PODS, pod)
    created["status"] = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    await cluster.replace(PODS, created, subresource="status")


async def test_a_policy_is_enforced_for_a_pod_that_gets_an_address_and_no_longer_once_it_is_gone(
    cluster: Cluster, namespace: str, kubectl: Callable[..., str], rulesets: Rulesets
) -> None:
    kubectl("wait", "--for=create", "serviceaccount/default", "--namespace", namespace)
    await cluster.create(NETWORK_POLICIES, a_policy(namespace))
    await a_running_pod(cluster, namespace, "198.18.16.2")
    await rulesets.first_where(lambda text: "198.18.16.2 : jump ingress-198.18.16.2" in text)
    await cluster.delete(NETWORK_POLICIES, namespace, "closed")
    await rulesets.first_where(lambda text: "198.18.16.2" not in text)


async def test_changes_made_while_the_api_server_was_away_are_enforced_when_it_is_back(
    cluster: Cluster, namespace: str, kubectl: Callable[..., str], rulesets: Rulesets, relay: Relay
) -> None:
    kubectl("wait", "--for=create", "serviceaccount/default", "--namespace", namespace)
    await cluster.create(NETWORK_POLICIES, a_policy(namespace))
    await a_running_pod(cluster, namespace, "198.18.16.3")
    await rulesets.first_where(lambda text: "198.18.16.3 : jump" in text)
    await relay.cut()
    await a_running_pod(cluster, namespace, "198.18.16.4")
    await relay.open()
    text = await rulesets.first_where(lambda text: "198.18.16.4 : jump" in text)
    assert "198.18.16.3 : jump" in text
