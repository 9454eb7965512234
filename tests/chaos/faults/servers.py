"""Faults of the primary itself: its process dies or freezes, or its pod is deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from shared import names
from tests.chaos import processes
from tests.chaos.api import NAMESPACE
from tests.chaos.faults.fault import hold, now

if TYPE_CHECKING:
    from tests.chaos.faults.fault import Scene

ENDLESS: Final = "while true do end"
FROZEN_SECONDS: Final = 8
"""Longer than the fence (three to four seconds) and a failover; too short for kubelet to restart the container."""


def kill_server(scene: Scene) -> float:
    """Kill the primary's server with SIGKILL."""
    primary = scene.stand.primary()
    pid = processes.of_pod(primary)
    struck = now()
    processes.kill(pid)
    scene.stand.await_restarted(primary, pid)
    return struck


def freeze_server(scene: Scene) -> float:
    """Freeze the primary's server for a time; when it wakes up, it still takes itself for the primary."""
    pid = processes.of_pod(scene.stand.primary())
    struck = now()
    with processes.frozen(pid):
        hold(FROZEN_SECONDS)
    return struck


def run_endless_script(scene: Scene) -> float:
    """Have a consumer run a script that never ends, until the reconciler ends it."""
    return _run_script(scene, ENDLESS)


def run_script_that_has_written(scene: Scene) -> float:
    """Have a consumer run a script that has written and never ends, until the reconciler restarts the server."""
    return _run_script(scene, f'redis.call("SET", "half", "done") {ENDLESS}')


def _run_script(scene: Scene, text: str) -> float:
    """Run a script on the primary as a consumer does; return once it has ended, in whatever way."""
    kube, primary = scene.stand.kube, scene.stand.primary()["metadata"]["name"]
    name = names.connection_secret(scene.stand.name)
    secret = json.loads(kube.run("get", "secret", name, "-o", "json", namespace=NAMESPACE))
    password = identities.decoded(secret["data"])[names.KEY_REDIS_PASSWORD]
    run = f"read password; REDISCLI_AUTH=$password valkey-cli eval '{text}' 0"
    struck = now()
    # The command fails if the server ends with the script.
    kube.refusal("exec", "-i", primary, "--", "sh", "-c", run, stdin=f"{password}\n", namespace=NAMESPACE)
    return struck


def delete_with_grace(scene: Scene) -> float:
    """Delete the primary's pod with its own grace period, and wait until it is gone."""
    metadata = scene.stand.primary()["metadata"]
    struck = now()
    scene.stand.kube.run("delete", "pod", metadata["name"], namespace=NAMESPACE)
    scene.stand.await_moved(metadata["uid"])
    return struck


def delete_pod(scene: Scene) -> float:
    """Delete the primary's pod without a grace period."""
    metadata = scene.stand.primary()["metadata"]
    struck = now()
    delete(scene, metadata["name"])
    scene.stand.await_moved(metadata["uid"])
    return struck


def delete(scene: Scene, *pods: str) -> None:
    """Delete pods without a grace period, and do not wait for their end."""
    options = ("--force", "--grace-period=0", "--wait=false")
    scene.stand.kube.run("delete", "pod", *pods, *options, namespace=NAMESPACE)
