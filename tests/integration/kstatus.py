"""Asks the library kstatus, in the version of Flux and Helm 4, how far objects are."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.local import binaries
from deploy.local.binaries import COMPILED_FAST, Program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.objects.resources import Object

PROGRAM: Final = Program("kstatus", "v1", str(Path(__file__).parent / "go"), "./kstatus", {}, compiler=COMPILED_FAST)


def kstatus(objects: Sequence[Object]) -> list[str]:
    """Return the status of each object: `InProgress`, `Current`, `Failed` or `Terminating`."""
    command = [str(binaries.built(PROGRAM))]
    done = subprocess.run(command, input=json.dumps(list(objects)), capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found
