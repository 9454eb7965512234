"""Measures the processor time that the reconciler needs to watch 200 storages.

It watches with heartbeats, with a look at each instance every 30 s, and with a check of each primary every 4 s.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from deploy.local import progress
from reconciler.actions.plan import STEADY_SECONDS
from reconciler.observe.write_checks import PERIOD_SECONDS
from shared import names
from shared.session_storage.sizes import PRESETS, Size
from tests.bench import image, watcher
from tests.bench.watcher import Watch, Watched
from tests.integration.instances import PASSWORDS, running
from tests.integration.loopback import routed

if TYPE_CHECKING:
    from pathlib import Path

STORAGES: Final = 200
WAYS: Final = {
    "heartbeat alone": (False, False),
    f"heartbeat, and a look every {STEADY_SECONDS:g} s": (True, False),
    f"heartbeat, look, and a check of the primary every {PERIOD_SECONDS:g} s": (True, True),
}
"""Ways to watch, each with whether it looks at instances, and whether it checks that primaries take writes."""


def measure(directory: Path, root: Path, seconds: float) -> dict[str, Watched]:
    """Watch storages of one instance, and of three, each with heartbeats alone, with looks, and with checks as well.

    All pods share two real Valkey servers: the reconciler's work is the same, and the servers' own work is not counted.

    Args:
        directory: Directory for all files.
        root: Directory with the unpacked product image, in which the watcher runs.
        seconds: Length of each of the six runs.
    """
    places = {name: directory / name for name in ("primary", "replica")}
    for place in places.values():
        place.mkdir()
    found = {}
    with (
        routed(),
        running(places["primary"], Size.SMALL) as primary,
        running(places["replica"], Size.MEDIUM, f"replicaof {primary} {names.VALKEY_PORT}") as replica,
    ):
        for size in (Size.SMALL, Size.LARGE):
            addresses = [replica if index else primary for index in range(PRESETS[size].replicas)]
            for what, (looks, checks) in WAYS.items():
                case = f"{STORAGES} {size} storages: {what}"
                progress.step(f"measuring {case}")
                asked = Watch(seconds, STORAGES, addresses, looks, checks, PASSWORDS)
                found[case] = _watched(directory, root, asked)
    return found


def _watched(directory: Path, root: Path, asked: Watch) -> Watched:
    (directory / watcher.TASK_FILE).write_text(json.dumps(asdict(asked)))
    command = image.command(root, watcher.__name__, directory)
    subprocess.run(command, check=True)
    return Watched(**json.loads((directory / watcher.RESULT_FILE).read_text()))
