"""The Go programs of the benchmark: two webhooks to compare ours with, and the client that loads all three."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.local.binaries import Program

MODULE = Path(__file__).parent / "go"


def version_of(module: str) -> str:
    """Read a module's version from go.mod."""
    found = re.search(rf"^\s+{re.escape(module)} (\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    assert found, module
    return found[1]


CONTROLLER_RUNTIME = Program(
    "bench-controller-runtime",
    version_of("sigs.k8s.io/controller-runtime"),
    str(MODULE),
    "./controllerruntime",
    {},
    imports=("./wiring",),
)
NET_HTTP = Program("bench-net-http", "v1", str(MODULE), "./nethttp", {}, imports=("./wiring",))
CLIENT = Program("bench-client", "v1", str(MODULE), "./client", {})
