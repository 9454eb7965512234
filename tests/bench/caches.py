"""Measures the memory of the reconciler with the objects of many storages: `python -m tests.bench.caches [FILE]`.

FILE holds the objects of one storage as an API server lists them, by the plural of their kind, as
`tests/integration/test_cached_objects.py` records them. Without it, the objects are those that this project makes, with
the managers and the defaults that an API server adds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

import reconciler.__main__  # noqa: F401 - all that the process loads counts
from reconciler.controllers.watches import Watches
from shared.kubernetes.client import EVERYTHING, LIST_PAGE, Cluster, Selector
from shared.kubernetes.keeping import WHOLE
from shared.kubernetes.server_clock import ServerClock
from tests.bench.listed import NAME, listed_objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Object, Resource

STORAGES: Final = 1000
WAYS: Final = {"whole": "as dictionaries, whole", "kept": "as they are kept"}


class Multiplied(Cluster):
    """An API server with the objects of many storages, each under a name of its own."""

    def __init__(self, recorded: Mapping[str, list[Object]], storages: int) -> None:
        self.clock = ServerClock()
        self._recorded = {plural: [orjson.dumps(obj) for obj in objects] for plural, objects in recorded.items()}
        self._storages = storages

    async def list_pages(
        self, resource: Resource, selector: Selector = EVERYTHING
    ) -> AsyncIterator[tuple[list[Object], str]]:
        del selector
        page: list[Object] = []
        for obj in self._all(resource):
            page.append(obj)
            if len(page) == LIST_PAGE:
                yield page, "1"
                page = []
        yield page, "1"

    def _all(self, resource: Resource) -> Iterator[Object]:
        for number in range(self._storages):
            name = NAME[:-4] + f"{number:04}"
            for text in self._recorded.get(resource.plural, []):
                yield orjson.loads(text.replace(NAME.encode(), name.encode()))


async def filled(recorded: Mapping[str, list[Object]], storages: int, way: str) -> Watches:
    """Fill the reconciler's caches, by lists as they come from an API server."""
    watches = Watches(Multiplied(recorded, storages))
    for informer in (*watches.caches.values(), watches.deployments):
        if way == "whole":
            _forget_to_trim(informer)
        await informer._list()
    return watches


def _forget_to_trim(informer: Informer) -> None:
    informer._keep, informer._objects = WHOLE, {}


def memory(field: str) -> float:
    """Read how many MiB this process takes: `VmRSS` now, `VmHWM` at the most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def measured(file: Path, storages: int, way: str) -> dict[str, float]:
    """Fill the caches of this process, and return its memory in MiB before, after and at the most."""
    recorded = json.loads(file.read_text())
    before = memory("VmRSS")
    watches = asyncio.run(filled(recorded, storages, way))
    gc.collect()
    objects = sum(len(cache.objects) for cache in watches.caches.values())
    return {"objects": objects, "before": before, "after": memory("VmRSS"), "most": memory("VmHWM")}


def compared(file: Path, storages: int = STORAGES) -> dict[str, dict[str, float]]:
    """Measure each way in a process of its own."""
    found = {}
    for way in WAYS:
        command = [sys.executable, "-m", __spec__.name, str(file), "--storages", str(storages), "--way", way]
        found[way] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Write what was found, a line for each way."""
    return "\n".join(
        f"{WAYS[way]}: {each['objects']:.0f} objects, {each['after']:.0f} MiB, at the most {each['most']:.0f}"
        f" (without any {each['before']:.0f})"
        for way, each in found.items()
    )


def main() -> int:
    """Compare both ways, or measure one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--storages", type=int, default=STORAGES)
    parser.add_argument("--way", choices=WAYS)
    given = parser.parse_args()
    if given.way:
        sys.stdout.write(json.dumps(measured(given.file, given.storages, given.way)))
        return 0
    with tempfile.TemporaryDirectory() as directory:
        file = given.file or Path(directory) / "listed.json"
        if given.file is None:
            file.write_text(json.dumps(asyncio.run(listed_objects())))
        sys.stdout.write(f"{table(compared(file, given.storages))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
