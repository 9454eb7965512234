"""Which levels there are, what each runs, and which may run beside which. CONTRIBUTING.md says what they prove."""

from __future__ import annotations

from typing import Final

from deploy.levels.level import Level

POLITE: Final = ("nice", "-n", "10")
"""These levels need a processor and nobody waits for them, so they take what the cluster leaves idle."""
SIDE_BY_SIDE: Final = ("--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder")
"""Each worker has its own control plane (0.7 GiB). More workers than processors starve tests that count seconds."""

STATIC: Final = (
    Level("format", (*POLITE, "ruff", "format", "--check", "--quiet", ".")),
    Level("lint", (*POLITE, "ruff", "check", "--quiet", ".")),
    Level("types", (*POLITE, "mypy", "--no-error-summary")),
    Level("imports", (*POLITE, "lint-imports", "--no-logo")),
)
UNIT, PROPERTY, GOLDEN = (
    Level(name, (*POLITE, "pytest", "-q", f"tests/{name}")) for name in ("unit", "property", "golden")
)
DOWN: Final = ("python", "-m", "deploy.local", "down")
CLUSTER: Final = (
    Level("builds", ("python", "-m", "deploy.local", "build")),
    Level("test-builds", ("python", "-m", "tests.support.builds")),
    Level("cluster", ("python", "-m", "deploy.local", "up")),
    # First, on a fresh cluster, as a reader of the README has it; e2e removes what the demo leaves.
    Level("demo", ("python", "-m", "deploy.demo")),
)
E2E: Final = (
    Level("e2e", ("pytest", "-q", "tests/e2e")),
    Level("down", DOWN),
    Level("awkward", ("python", "-m", "deploy.local", "up", "--profile", "awkward")),
    Level("e2e-awkward", ("pytest", "-q", "tests/e2e/awkward")),
    # The cluster takes a third of a processor even at rest, and integration needs that.
    Level("awkward-down", DOWN),
)
INTEGRATION: Final = (Level("integration", ("pytest", "-q", "tests/integration", *SIDE_BY_SIDE)),)

STAGES: Final = (((*STATIC, UNIT, GOLDEN), (PROPERTY,), CLUSTER), (E2E,), (INTEGRATION,))
"""Stages follow each other; the lanes of one run beside each other, and the levels of a lane one by one.

The cluster's tests and integration have both processors for themselves: the former have bounds in seconds, and the
latter's workers fill them.
"""
LEVELS: Final = {level.name: level for stage in STAGES for lane in stage for level in lane}
