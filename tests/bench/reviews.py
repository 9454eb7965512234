"""Measures all servers with all cases. They take turns, so that other load on the machine slows all of them alike."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from deploy.local import binaries, progress
from tests.bench import programs, servers
from tests.bench.answers import Meaning, meaning
from tests.bench.cases import NAME, PATH, Case, cases
from tests.bench.figures import Figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.bench.servers import Server

CONNECTIONS: Final = 8
"""Connections of one API server to a busy webhook; it may keep 25 idle ones (client-go `transport/cache.go`)."""


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        rounds: Turns that each server has in each case.
        seconds: Length of a turn.
    """

    rounds: int = 6
    seconds: float = 3.0


@dataclass
class Outcome:
    """What was measured.

    Attributes:
        figures: Figures by case and server.
        resident_mb: Resident memory of each server after all cases, in millions of bytes.
    """

    figures: dict[tuple[Case, str], Figures] = field(default_factory=dict)
    resident_mb: dict[str, float] = field(default_factory=dict)


def measure(
    directory: Path,
    root: Path,
    plan: Plan,
    chosen: Iterable[Case] | None = None,
    before: tuple[Path, Path] | None = None,
) -> Outcome:
    """Start all servers, check their answers, and measure them.

    Args:
        directory: Directory for certificates, bodies and logs.
        root: Directory with the unpacked product image.
        plan: How long to measure.
        chosen: Cases to measure; all of them by default.
        before: Another checkout whose webhook to measure as well, and the directory with its unpacked image.
    """
    measured = list(cases() if chosen is None else chosen)
    serving, loading = processors()
    outcome = Outcome()
    with servers.running(directory, root, serving, before) as running:
        for case in measured:
            (directory / f"{case.name}.json").write_bytes(case.body)
            check(case, {server.name: server.ask(case.body) for server in running})
        for case in measured:
            progress.step(f"measuring {case.kind}, {len(case.body) / 1000:.1f} kB")
            outcome.figures |= _measure(case, running, directory, plan, loading)
        outcome.resident_mb = {server.name: server.resident_mb for server in running}
    return outcome


def processors() -> tuple[int, int]:
    """Choose one processor for the servers and another one for the client."""
    serving, loading, *_ = sorted(os.sched_getaffinity(0))
    return serving, loading


def check(case: Case, answers: Mapping[str, bytes]) -> None:
    """Assert that all servers reach the expected verdict and have the same effect."""
    meanings = {name: meaning(case, answer) for name, answer in answers.items()}
    first: Meaning = meanings[servers.OURS]
    for name, found in meanings.items():
        assert found.verdict == case.expected, f"{name}, {case.name}: {found.verdict}"
        assert found == first, f"{name}, {case.name}: the patch makes another object than that of {servers.OURS}"


def _measure(
    case: Case, running: Sequence[Server], directory: Path, plan: Plan, processor: int
) -> dict[tuple[Case, str], Figures]:
    seconds = dict.fromkeys((server.name for server in running), 0.0)
    busy = dict(seconds)
    latencies: dict[str, list[int]] = {server.name: [] for server in running}
    for turn in range(plan.rounds):
        first = turn % len(running)
        for server in (*running[first:], *running[:first]):
            busy[server.name] -= server.processor_seconds
            report = _load(server, case, directory, plan.seconds, processor)
            busy[server.name] += server.processor_seconds
            seconds[server.name] += report["seconds"]
            latencies[server.name] += report["nanoseconds"]
    return {(case, name): Figures.of(seconds[name], latencies[name], busy[name]) for name in seconds}


def _load(server: Server, case: Case, directory: Path, seconds: float, processor: int) -> dict[str, Any]:
    options = {
        "address": f"127.0.0.1:{server.port}",
        "server-name": servers.NAME,
        "authority": server.authority,
        "path": PATH,
        "body": directory / f"{case.name}.json",
        "name": NAME,
        "connections": CONNECTIONS,
        "least-bytes": 100,
        "duration": f"{seconds}s",
    }
    command = [str(binaries.built(programs.CLIENT)), *(f"-{option}={value}" for option, value in options.items())]
    done = subprocess.run(
        ["taskset", "--cpu-list", str(processor), *command],
        env={**os.environ, "GOMAXPROCS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report
